#include "agent/config.h"

#include <gtest/gtest.h>

namespace weft::agent {
namespace {

std::vector<std::string> with(std::vector<std::string> more) {
  std::vector<std::string> all = {"--node", "n1", "--source", "files:/m", "--cgroup", "/c", "--bpffs", "/b", "--zds", "/z"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(Config, ReadsWhatTheSandboxGives) {
  auto parsed = parse_config(with({"--api", "/a", "--node-ip", "172.31.0.1,fd00::1", "--dns-ip", "10.96.0.10", "--metrics", "172.31.0.1:15030",
                                   "--ready", "172.31.0.1:15031", "--log-level", "debug", "--dns-capture=true"}));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().text;
  const auto& config = std::get<Config>(*parsed);
  EXPECT_EQ(config.node, "n1");
  EXPECT_EQ(config.source_directory, "/m");
  EXPECT_EQ(config.metrics->port, 15030);
  EXPECT_TRUE(config.dns_capture);
  EXPECT_EQ(config.netns_directory, "/var/run/netns");
}

TEST(Config, NamesTheFlagThatIsWrong) {
  const std::vector<std::pair<std::vector<std::string>, const char*>> rows = {
      {with({"--bogus"}), "--bogus"},
      {with({"--node-ip", "x"}), "--node-ip"},
      {with({"--dns-ip", "10.0.0.1,300.1.1.1"}), "300.1.1.1"},
      {with({"--metrics", "15030"}), "--metrics"},
      {with({"--ready", "localhost:1"}), "--ready"},
      {with({"--log-level", "loud"}), "--log-level"},
      {with({"--log-format", "xml"}), "--log-format"},
      {with({"--dns-capture=perhaps"}), "--dns-capture"},
      {with({"--ztunnel-uid", "-1"}), "--ztunnel-uid"},
      {{"--node", "n1", "--source", "http://x", "--cgroup", "/c", "--bpffs", "/b", "--zds", "/z"},
       "--source"},
      {{"--node", "n1", "--source", "kube:", "--cgroup", "/c", "--bpffs", "/b", "--zds", "/z"},
       "--source"},
      {{"--node", "a&b", "--source", "kube", "--cgroup", "/c", "--bpffs", "/b", "--zds", "/z"},
       "a&b"},
      {{"--source", "files:/m", "--cgroup", "/c", "--bpffs", "/b", "--zds", "/z"}, "--node"},
      {{"--node", "n1", "--source", "files:/m", "--bpffs", "/b", "--zds", "/z"}, "--cgroup"},
      {{"--node", "n1", "--source", "files:/m", "--cgroup", "/c", "--zds", "/z"}, "--bpffs"},
      {with({"--take-over"}), "--api"},
      {{}, "--bpffs"},
  };
  for (const auto& [arguments, flag] : rows) {
    const auto parsed = parse_config(arguments);
    ASSERT_FALSE(parsed.has_value()) << flag;
    EXPECT_NE(parsed.error().text.find(flag), std::string::npos) << parsed.error().text;
  }
}

TEST(Config, TakesKubernetesAndWhatTheMachineSays) {
  const std::vector<std::string> rest = {"--node", "n1",    "--cgroup", "auto",     "--bpffs",
                                         "/b",     "--zds", "/z",       "--dns-ip", "auto"};
  for (const auto& [source, kubeconfig] : {std::pair("kube", ""), {"kube:/etc/k", "/etc/k"}}) {
    auto arguments = rest;
    arguments.insert(arguments.end(), {"--source", source});
    const auto parsed = parse_config(arguments);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().text;
    const auto& config = std::get<Config>(*parsed);
    EXPECT_EQ(config.source_directory, "");
    EXPECT_EQ(config.kubeconfig, kubeconfig);
    EXPECT_EQ(config.source(), source);
    EXPECT_TRUE(config.dns_from_resolv_conf);
  }
}

TEST(Config, UninstallNeedsOnlyThePins) {
  const auto parsed = parse_config({"--bpffs", "/b", "--uninstall"});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_TRUE(std::get<Config>(*parsed).uninstall);
}

TEST(Config, UninstallBesideAnAgentNeedsItsSocket) {
  const auto whole = parse_config({"--bpffs", "/b", "--api", "/a", "--uninstall", "--await-agent", "60", "--stay"});
  ASSERT_TRUE(whole.has_value()) << whole.error().text;
  EXPECT_EQ(std::get<Config>(*whole).await_agent_s, 60u);
  EXPECT_TRUE(std::get<Config>(*whole).stay);
  EXPECT_EQ(parse_config({"--bpffs", "/b", "--uninstall", "--await-agent", "60"}).error().text, "--await-agent needs --api: the agent is asked there");
  EXPECT_EQ(parse_config({"--bpffs", "/b", "--stay"}).error().text, "--stay and --await-agent need --uninstall");
}

TEST(Config, AProbeNeedsNothingElse) {
  const auto parsed = parse_config({"--is-ready", "/run/ready.sock"});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(std::get<Config>(*parsed).probe_path, "/run/ready.sock");
}

TEST(Config, HelpAndVersionAreAnswers) {
  EXPECT_TRUE(std::holds_alternative<Wanted>(*parse_config({"--help"})));
  EXPECT_EQ(std::get<Wanted>(*parse_config({"--version"})).text, "weft-agent " WEFT_VERSION "\n");
}

}  // namespace
}  // namespace weft::agent
