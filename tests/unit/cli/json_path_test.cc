#include <gtest/gtest.h>

#include "cli/table.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

const sandbox::Json kObject = {
    {"metadata", {{"name", "web"}, {"annotations", {{"weft.dev/pid", "42"}}}}},
    {"status", {{"n", 3}, {"podIPs", {{{"ip", "10.0.0.1"}}, {{"ip", "fd00::1"}}}}}}};

TEST(JsonPath, ReachesWhatKubectlReaches) {
  const std::pair<const char*, const char*> cases[] = {
      {"{.metadata.name}", "web"},
      {".metadata.name", "web"},
      {"{.status.n}", "3"},
      {"{.status.podIPs[0].ip}", "10.0.0.1"},
      {"{.status.podIPs[-1].ip}", "fd00::1"},
      {"{.status.podIPs[*].ip}", "10.0.0.1 fd00::1"},
      {"{.metadata.annotations['weft.dev/pid']}", "42"},
      {"{.metadata.annotations.weft\\.dev/pid}", "42"},
      {"{.gone.deeper}", ""},
      {"name={.metadata.name}{\"\\n\"}", "name=web\n"}};
  for (const auto& [path, expected] : cases) {
    const auto text = json_path(kObject, path);
    ASSERT_TRUE(text) << path;
    EXPECT_EQ(*text, expected) << path;
  }
}

TEST(JsonPath, RefusesWhatItCannotRead) {
  for (const char* path : {"{.a", "{.a[}", "{.a[x]}"})
    EXPECT_FALSE(json_path({{"a", {1}}}, path)) << path;
}

}  // namespace
}  // namespace weft::cli
