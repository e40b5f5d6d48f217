#include "ztunnel/xds/cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "resources.h"

namespace weft::xds {
namespace {

class CacheTest : public ::testing::Test {
 protected:
  CacheTest() : path_(::testing::TempDir() + "weft-xds-" + std::to_string(::getpid())) { std::remove(path_.c_str()); }
  ~CacheTest() override { std::remove(path_.c_str()); }
  std::string content() const {
    std::ostringstream out;
    out << std::ifstream(path_).rdbuf();
    return out.str();
  }
  void set_content(const std::string& text) { std::ofstream(path_) << text; }
  const std::string path_;
};

TEST_F(CacheTest, ReadsWhatItWroteAndOnlyTheOwnerMay) {
  const std::vector<Response> written = {response(state::kAddressType, {workload("a"), workload("b")}),
                                         response(state::kAuthorizationType, {policy("p")})};
  ASSERT_TRUE(write_cache(path_, written));
  struct stat found{};
  ASSERT_EQ(::stat(path_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
  const auto read = read_cache(path_);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].resources_size(), 2);
  EXPECT_EQ((*read)[1].SerializeAsString(), written[1].SerializeAsString());
}

TEST_F(CacheTest, NoFileIsNotFound) { EXPECT_EQ(read_cache(path_).error().code, Code::kNotFound); }

TEST_F(CacheTest, ADamagedFileIsMalformed) {
  ASSERT_TRUE(write_cache(path_, {response(state::kAddressType, {workload("a")})}));
  const std::string good = content();
  for (const std::size_t at : {std::size_t{0}, std::size_t{12}, good.size() / 2, good.size() - 1}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    set_content(bad);
    ASSERT_FALSE(read_cache(path_)) << at;
    EXPECT_EQ(read_cache(path_).error().code, Code::kMalformed) << at;
  }
  for (const std::size_t length : {std::size_t{0}, std::size_t{5}, std::size_t{30}, good.size() - 1}) {
    set_content(good.substr(0, length));
    EXPECT_FALSE(read_cache(path_)) << length;
  }
}

TEST_F(CacheTest, AFailedWriteSaysSo) {
  EXPECT_EQ(write_cache("/nonexistent/dir/xds", {}).error().code, Code::kSystem);
}

}  // namespace
}  // namespace weft::xds
