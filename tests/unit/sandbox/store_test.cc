#include "sandbox/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "sandbox/file.h"
#include "sandbox/json.h"

namespace weft::sandbox {
namespace {

Json config_map(const std::string& ns, const std::string& name) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}, {"namespace", ns}}}};
}

TEST(Store, ListsByNamespaceAndName) {
  Store store("");
  for (const auto& [ns, name] : {std::pair("b", "x"), std::pair("a", "y"), std::pair("a", "x")}) {
    ASSERT_TRUE(store.put(config_map(ns, name)).has_value());
  }
  const auto all = store.list("ConfigMap");
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(ns_of(*all[0]) + name_of(*all[0]), "ax");
  EXPECT_EQ(store.list("ConfigMap", "b").size(), 1u);
  EXPECT_TRUE(store.list("Secret").empty());
}

TEST(Store, AnUpdateThatChangesNothingIsNoChange) {
  Store store("");
  ASSERT_TRUE(store.put(config_map("a", "x")).has_value());
  const auto before = store.version();
  EXPECT_FALSE(store.update({"ConfigMap", "a", "x"}, [](Json&) {}));
  EXPECT_EQ(store.version(), before);
  EXPECT_TRUE(store.update({"ConfigMap", "a", "x"}, [](Json& o) { o["data"]["k"] = "v"; }));
  EXPECT_GT(store.version(), before);
}

TEST(Store, TheTwoGatewaysAreTwoObjects) {
  Store store("");
  for (const char* version : {"networking.istio.io/v1", "gateway.networking.k8s.io/v1"}) {
    ASSERT_TRUE(store
                    .put({{"apiVersion", version},
                          {"kind", "Gateway"},
                          {"metadata", {{"name", "g"}, {"namespace", "a"}}}})
                    .has_value());
  }
  EXPECT_EQ(store.keys_in("a").size(), 2u);
}

TEST(Store, FilesComeAndGoWithTheirObjects) {
  if (geteuid() != 0) GTEST_SKIP() << "the files get another group";
  const auto directory = testing::TempDir() + "weft-store-test-" + std::to_string(getpid());
  std::filesystem::create_directories(directory);
  Store store(directory);
  ASSERT_TRUE(store.put(config_map("a", "x")).has_value());
  const auto text = read_file(directory + "/ConfigMap_a_x.json");
  ASSERT_TRUE(text) << text.error().text;
  EXPECT_EQ(Json::parse(*text), *store.find("ConfigMap", "a", "x"));
  struct stat info;
  ASSERT_EQ(stat((directory + "/ConfigMap_a_x.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07, 0u) << "objects may be Secrets";
  store.remove({"ConfigMap", "a", "x"});
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weft::sandbox
