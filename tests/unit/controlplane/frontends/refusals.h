// Tables of specs that a front end must refuse.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <string>

#include "ir_text.h"

namespace weft::controlplane {

struct Row {
  const char* spec;   // what follows "spec:" and a line break
  const char* error;  // a part of the refusal
};

inline void expect_refused(const std::string& api, const std::string& kind,
                           std::span<const Row> rows) {
  for (const Row& row : rows) {
    std::string spec = row.spec;
    const std::string text = "apiVersion: " + api + "\nkind: " + kind +
                             "\nmetadata: {name: x, namespace: shop}\nspec: " + spec + "\n";
    const auto objects = source::parse_manifest(text, "f.yaml");
    ASSERT_TRUE(objects) << objects.error().text << "\n" << text;
    const std::string got = decoded_text(*(*objects)[0]);
    EXPECT_THAT(got, testing::StartsWith("refused: f.yaml:")) << row.spec;
    EXPECT_THAT(got, testing::HasSubstr(row.error)) << row.spec;
  }
}

}  // namespace weft::controlplane
