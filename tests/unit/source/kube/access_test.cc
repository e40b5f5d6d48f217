#include "source/kube/access.h"

#include <gtest/gtest.h>

namespace weft::source::kube {
namespace {

std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return "current-context: c\n"
         "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
         "clusters: [{name: k, cluster: {" +
         cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n";
}

TEST(Access, ReadsTheCurrentContext) {
  const auto access = parse_kubeconfig(
      kubeconfig("server: 'https://h:6443/', certificate-authority-data: Q0E=", "token: t"), "f");
  ASSERT_TRUE(access) << access.error().text;
  EXPECT_EQ(access->server, "https://h:6443");
  EXPECT_EQ(access->ca_pem, "CA");
  EXPECT_EQ(access->bearer(), "t");
}

TEST(Access, RefusesWhatItDoesNotDo) {
  const std::string server = "server: 'https://h:6443'";
  const std::pair<std::string, const char*> cases[] = {
      {kubeconfig("server: 'http://h'", "token: t"), "f: cluster.server: must be https"},
      {kubeconfig(server + ", insecure-skip-tls-verify: true", ""), "insecure-skip-tls-verify"},
      {kubeconfig(server, "exec: {command: x}"), "user.exec: not supported"},
      {kubeconfig(server, "client-certificate-data: Q0E="), "come together"},
      {kubeconfig(server + ", certificate-authority-data: '!'", ""), "not base64"},
      {kubeconfig(server + ", certificate-authority: /nowhere/ca", ""), "/nowhere/ca: cannot"},
      {"current-context: other", "f: current-context: no context named \"other\""},
      {"[]", "must be a kubeconfig"},
      {"a: [", "not YAML"},
  };
  for (const auto& [text, wanted] : cases) {
    const auto access = parse_kubeconfig(text, "f");
    ASSERT_FALSE(access) << text;
    EXPECT_NE(access.error().text.find(wanted), std::string::npos) << access.error().text;
  }
}

TEST(Access, ABrokenFileIsNotQuoted) {
  const auto access = parse_kubeconfig("users: [{name: u, user: {token: \"secret\n", "f");
  ASSERT_FALSE(access);
  EXPECT_EQ(access.error().text.find("secret"), std::string::npos);
}

TEST(Access, Base64) {
  for (const auto& [in, out] :
       {std::pair("", ""), {"YQ==", "a"}, {"YWI=", "ab"}, {"YWJj", "abc"}}) {
    const auto decoded = base64_decoded(in);
    ASSERT_TRUE(decoded) << in;
    EXPECT_EQ(*decoded, out);
  }
  for (const char* bad : {"Y", "YQ=", "Y===", "=YQ=", "YQ==YQ==", "Y Q="})
    EXPECT_FALSE(base64_decoded(bad)) << bad;
}

}  // namespace
}  // namespace weft::source::kube
