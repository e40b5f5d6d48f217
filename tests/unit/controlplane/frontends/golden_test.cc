// golden/NAME.yaml in, golden/NAME.txt out: what the front ends make of these manifests, object by
// object. WEFT_UPDATE_GOLDEN=1 writes the files; read the difference before committing it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ir_text.h"

namespace weft::controlplane {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(FrontEndGolden, ObjectsBecomeExactlyThis) {
  std::size_t seen = 0;
  for (const auto& entry : fs::directory_iterator(WEFT_FRONTENDS_GOLDEN_DIR)) {
    if (entry.path().extension() != ".yaml") continue;
    ++seen;
    const auto objects =
        source::parse_manifest(slurp(entry.path()), entry.path().filename().string());
    ASSERT_TRUE(objects) << objects.error().text;
    std::string got;
    for (const auto& object : *objects)
      got += "## " + object->key().str() + "\n" + decoded_text(*object) + "\n";
    fs::path expected = entry.path();
    expected.replace_extension(".txt");
    if (std::getenv("WEFT_UPDATE_GOLDEN") != nullptr) std::ofstream(expected) << got;
    EXPECT_EQ(got, slurp(expected)) << entry.path();
  }
  EXPECT_GE(seen, 3u);
}

}  // namespace
}  // namespace weft::controlplane
