#include "sandbox/selector.h"

#include <gtest/gtest.h>

namespace weft::sandbox {
namespace {

struct Case {
  const char* selector;
  bool matches;
};

TEST(Selector, MeansWhatKubectlMeans) {
  const mesh::Labels labels = {{"app", "web"}, {"tier", "front"}};
  for (const auto& [text, matches] : {Case{"", true},
                                      {"app=web", true},
                                      {"app==web", true},
                                      {"app=db", false},
                                      {"app!=db", true},
                                      {"app=web,tier=front", true},
                                      {"app=web,tier=back", false},
                                      {"app", true},
                                      {"!app", false},
                                      {"!gone", true},
                                      {"app in (db, web)", true},
                                      {"app in (db)", false},
                                      {"app notin (db)", true},
                                      {"gone notin (x)", true},
                                      {"app in (a,web),tier", true}}) {
    const auto selector = parse_selector(text);
    ASSERT_TRUE(selector) << text;
    EXPECT_EQ(selector->matches(labels), matches) << text;
  }
}

TEST(Selector, RefusesEmptyParts) {
  for (const char* text : {"a=b,", ",", "=x", "!"}) EXPECT_FALSE(parse_selector(text)) << text;
}

TEST(Selector, RefusesWhatNoLabelCanBe) {
  for (const char* text : {"a b c", "app=w b", "app in (x y)", "a=b;c", "a>b"}) {
    const auto selector = parse_selector(text);
    ASSERT_FALSE(selector) << text;
    EXPECT_NE(selector.error().text.find(" is not a label's "), std::string::npos)
        << selector.error().text;
  }
}

}  // namespace
}  // namespace weft::sandbox
