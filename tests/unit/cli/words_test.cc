// The command of `sandbox exec` is nobody's to read but its process's.
#include "cli/words.h"

#include <gmock/gmock.h>

namespace weft::cli {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using Words = std::vector<std::string>;

TEST(TakeCommand, WhatFollowsTheDashesIsTakenByteForByte) {
  const Words command = {"sh", "-c", "[a,b]", "", "{}", "--", "-n", "%%", "--help", "[]"};
  for (const Words& before :
       {Words{"sandbox", "exec", "web"},
        {"sandbox", "exec", "-n", "shop", "web", "-c", "app"},
        {"--sandbox", "exec", "sandbox", "exec", "-it", "--namespace=shop", "web"},
        {"sandbox", "--name", "x", "exec", "web", "-n", "shop"}}) {
    Words words = before;
    words.emplace_back("--");
    words.insert(words.end(), command.begin(), command.end());
    EXPECT_THAT(take_command(words), ElementsAreArray(command)) << testing::PrintToString(before);
    EXPECT_EQ(words, before);
  }
}

TEST(TakeCommand, WithoutDashesWhatFollowsThePodIs) {
  Words words = {"sandbox", "exec", "-n", "shop", "web", "sh", "-c", "[a]", "--", "b"};
  EXPECT_THAT(take_command(words), ElementsAre("sh", "-c", "[a]", "--", "b"));
  EXPECT_THAT(words, ElementsAre("sandbox", "exec", "-n", "shop", "web"));
}

TEST(TakeCommand, OtherCommandsKeepTheirWords) {
  for (const Words& all : {Words{"sandbox", "get", "pods", "--", "exec"},
                           {"explain", "exec", "--", "x"},
                           {"sandbox", "exec", "web"},
                           {"sandbox", "exec", "--help"},
                           {"sandbox", "exec", "-n"},
                           {"sandbox"},
                           {}}) {
    Words words = all;
    EXPECT_THAT(take_command(words), IsEmpty());
    EXPECT_EQ(words, all);
  }
}

TEST(TakeCommand, DashesWithNothingBehindThemAreNoCommand) {
  Words words = {"sandbox", "exec", "web", "--"};
  EXPECT_THAT(take_command(words), IsEmpty());
  EXPECT_THAT(words, ElementsAre("sandbox", "exec", "web"));
}

}  // namespace
}  // namespace weft::cli
