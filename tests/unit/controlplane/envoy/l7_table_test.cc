// The L7 table (tests/data/l7_table.yaml), three ways: what it says, what the evaluator says, and
// what a real Envoy answers. One Envoy, one service for each group of rows.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <set>

#include "controlplane/explain/evaluate.h"
#include "issuer.h"
#include "l7_world.h"
#include "live.h"

namespace weft::controlplane {
namespace {

constexpr std::size_t kRowsMin = 80;

// A node as one line of flow YAML.
std::string flow(const YAML::Node& node) {
  if (node.IsMap()) {
    std::string out;
    for (const auto& one : node)
      out += (out.empty() ? "" : ", ") + flow(one.first) + ": " + flow(one.second);
    return "{" + out + "}";
  }
  if (node.IsSequence()) {
    std::string out;
    for (const YAML::Node& one : node) out += (out.empty() ? "" : ", ") + flow(one);
    return "[" + out + "]";
  }
  const std::string text = node.IsNull() ? "" : node.Scalar();
  const bool number = !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos;
  if (node.Tag() != "!" && (number || text == "true" || text == "false")) return text;
  std::string out = "\"";
  for (const char c : text) out += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
  return out + "\"";
}

nlohmann::json to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    nlohmann::json out = nlohmann::json::object();
    for (const auto& one : node) out[one.first.as<std::string>()] = to_json(one.second);
    return out;
  }
  if (node.IsSequence()) {
    nlohmann::json out = nlohmann::json::array();
    for (const YAML::Node& one : node) out.push_back(to_json(one));
    return out;
  }
  long number = 0;
  if (node.Tag() != "!" && YAML::convert<long>::decode(node, number)) return number;
  return node.Scalar();
}

class L7Table : public envoy::LiveEnvoy {
 protected:
  static std::string vip(std::size_t i) { return "10.96.1." + std::to_string(i + 1); }

  std::string objects_of(std::size_t i, const YAML::Node& group) const {
    const std::string app = "s" + std::to_string(i);
    const auto object = [&](const char* kind, const std::string& name, const std::string& spec) {
      return std::string("---\napiVersion: ") + kind + "\nmetadata: {name: " + name +
             ", namespace: shop}\nspec: " + spec + "\n";
    };
    const std::string selector = "selector: {matchLabels: {app: " + app + "}}";
    std::string out =
        http_service("shop", app, vip(i)) +
        pod_yaml("shop", app + "-1", "10.244.7." + std::to_string(i + 1), "{app: " + app + "}");
    std::size_t number = 0;
    for (const YAML::Node& policy : group["policies"]) {
      YAML::Node spec = YAML::Clone(policy);
      spec["selector"]["matchLabels"]["app"] = app;
      out += object("security.istio.io/v1\nkind: AuthorizationPolicy",
                    app + "-" + std::to_string(++number), flow(spec));
    }
    if (group["tokens"]) {
      YAML::Node rules = YAML::Clone(group["tokens"]);
      for (YAML::Node rule : rules) rule["jwks"] = issuer_.jwks();
      out += object("security.istio.io/v1\nkind: RequestAuthentication", app,
                    "{" + selector + ", jwtRules: " + flow(rules) + "}");
    }
    if (group["rules"]) {
      return out + object("gateway.networking.k8s.io/v1\nkind: HTTPRoute", app,
                          "{parentRefs: [{group: \"\", kind: Service, name: " + app +
                              "}], rules: " + flow(group["rules"]) + "}");
    }
    std::string http =
        group["routes"] ? flow(group["routes"]) : "[{directResponse: {status: 200}}]";
    if (const auto at = http.find("SELF"); at != std::string::npos) http.replace(at, 4, app);
    return out + object("networking.istio.io/v1\nkind: VirtualService", app,
                        "{hosts: [" + app + "], http: " + http + "}");
  }

  envoy::Ask ask_of(std::size_t i, const YAML::Node& row) const {
    envoy::Ask ask{.to = vip(i) + ":9080", .host = "shop.example"};
    const std::string peer = row["peer"].as<std::string>("shop/web");
    if (peer == "none") {
      ask.peer.reset();
    } else if (const auto slash = peer.find('/'); peer.starts_with("spiffe:")) {
      ask.peer = peer;
    } else {
      ask.peer =
          "spiffe://cluster.local/ns/" + peer.substr(0, slash) + "/sa/" + peer.substr(slash + 1);
    }
    ask.method = row["method"].as<std::string>("GET");
    ask.path = row["path"].as<std::string>("/");
    ask.host = row["host"].as<std::string>("shop.example");
    ask.from = row["ip"].as<std::string>("10.244.1.7") + ":40000";
    for (const auto& one : row["headers"]) {
      const bool pair = !one.first.IsDefined();
      ask.headers.push_back((pair ? one[0] : one.first).as<std::string>() + ": " +
                            (pair ? one[1] : one.second).as<std::string>());
    }
    if (row["claims"]) {
      nlohmann::json claims{{"iss", "https://issuer"}, {"exp", 4'000'000'000}};
      claims.update(to_json(row["claims"]));
      ask.headers.push_back("authorization: Bearer " + issuer_.sign(claims.dump()));
    }
    return ask;
  }

  static std::string evaluated(const model::Plan& plan, const envoy::Ask& ask) {
    const auto address = SocketAddress::parse(ask.to);
    for (const model::PlanService& service : plan.services) {
      if (std::ranges::find(service.addresses, *address) == service.addresses.end()) continue;
      explain::Request request{.method = ask.method,
                               .target = ask.path,
                               .authority = ask.host,
                               .headers = {},
                               .peer = ask.peer,
                               .client = SocketAddress::parse(ask.from)->ip};
      for (const std::string& one : ask.headers) {
        const auto colon = one.find(": ");
        request.headers.emplace_back(one.substr(0, colon), one.substr(colon + 2));
      }
      const explain::Outcome out = explain::evaluate(service, request, WallClock::now());
      return std::to_string(out.status) + (out.location.empty() ? "" : " " + out.location);
    }
    return "no such service";
  }

  // Does not ask for the connection's end: Envoy delays that by a second when it refuses.
  static std::string answered(const envoy::Ask& ask) {
    const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const sockaddr_in address = envoy::loopback(envoy::kWaypointPort);
    ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    std::string bytes = envoy::proxy_v2(ask) + ask.method + " " + ask.path +
                        " HTTP/1.1\r\nhost: " + ask.host + "\r\n";
    for (const std::string& one : ask.headers) bytes += one + "\r\n";
    bytes += "content-length: 0\r\n\r\n";
    ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    std::string in;
    char buffer[8192];
    while (in.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (got <= 0) return "closed";
      in.append(buffer, static_cast<std::size_t>(got));
    }
    const auto at = in.find("\r\nlocation: ");
    std::string out = in.substr(9, 3);
    if (at != std::string::npos) out += " " + in.substr(at + 12, in.find("\r\n", at + 2) - at - 12);
    return out;
  }

  envoy::Issuer issuer_;
};

TEST_F(L7Table, ThreeWays) {
  const YAML::Node table = YAML::LoadFile(WEFT_L7_TABLE);
  L7World world;
  std::string objects =
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {weft.dev/mesh: "
      "enabled}}\n";
  for (std::size_t i = 0; i < table.size(); ++i) objects += objects_of(i, table[i]);
  world.put(objects);
  world.serve("shop");
  ASSERT_TRUE(world.plans.contains(kId));
  const model::Plan& plan = world.plans.at(kId);
  apply(plan);
  ASSERT_FALSE(HasFailure());
  std::set<std::string> ids;
  for (std::size_t i = 0; i < table.size(); ++i) {
    for (const YAML::Node& row : table[i]["rows"]) {
      const std::string id = row["id"].as<std::string>();
      SCOPED_TRACE(id + " " + table[i]["about"].as<std::string>() + ": " +
                   row["why"].as<std::string>());
      EXPECT_TRUE(ids.insert(id).second) << "twice";
      const envoy::Ask ask = ask_of(i, row);
      const std::string want = row["answer"].as<std::string>();
      EXPECT_EQ(evaluated(plan, ask), want) << "the evaluator";
      EXPECT_EQ(answered(ask), want) << "Envoy";
    }
  }
  EXPECT_GE(ids.size(), kRowsMin);
}

}  // namespace
}  // namespace weft::controlplane
