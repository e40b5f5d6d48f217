#include "agent/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::agent {
namespace {

using testing::HasSubstr;

TEST(Metrics, HaveTheNamesThatDashboardsRead) {
  MetricFacts facts;
  facts.events[WEFT_CONNECT_CAPTURED] = 3;
  facts.maps = {{"weft_pods", 2, 4096}};
  facts.programs = {{"connect4", 17, 5}};
  facts.pods.resize(2);
  facts.pods[0].state = facts.pods[1].state = State::kCaptured;
  facts.enroller.captured_total = 9;
  facts.ztunnels = 1;
  facts.source_generation = 8;
  facts.applied_generation = 7;
  const std::string text = metrics_text(facts);
  const auto captured = bpf::counter_name(WEFT_CONNECT_CAPTURED);
  EXPECT_THAT(text, HasSubstr("weft_bpf_events_total{hook=\"" + std::string(captured.hook) + "\",result=\"" + std::string(captured.result) + "\"} 3"));
  EXPECT_THAT(text, HasSubstr("weft_bpf_map_entries{map=\"weft_pods\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("weft_bpf_map_max_entries{map=\"weft_pods\"} 4096\n"));
  EXPECT_THAT(text, HasSubstr("weft_bpf_program_info{name=\"connect4\",id=\"17\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("weft_pods{state=\"captured\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("weft_pods{state=\"unseen\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("weft_pods_captured_total 9\n"));
  EXPECT_THAT(text, HasSubstr("weft_ztunnel_connected 1\n"));
  EXPECT_THAT(text, HasSubstr("weft_config_generation{stage=\"source\"} 8\n"));
  EXPECT_THAT(text, HasSubstr("weft_config_generation{stage=\"applied\"} 7\n"));
}

TEST(Metrics, GiveEveryFamilyHelpAndType) {
  const std::string text = metrics_text({});
  std::size_t help = 0;
  std::size_t type = 0;
  for (std::size_t at = 0; (at = text.find("# HELP", at)) != std::string::npos; ++at) ++help;
  for (std::size_t at = 0; (at = text.find("# TYPE", at)) != std::string::npos; ++at) ++type;
  EXPECT_EQ(help, type);
  EXPECT_GE(help, 10u);
}

}  // namespace
}  // namespace weft::agent
