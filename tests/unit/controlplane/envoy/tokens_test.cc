// RequestAuthentication from the manifest to the answer of a real Envoy: which token is good, where
// it is looked for, what is passed on, what policies and routes see of it. W7.
#include <gmock/gmock.h>

#include <map>

#include "issuer.h"
#include "l7_world.h"
#include "live.h"

namespace weft::controlplane {
namespace {

using envoy::Answer;
using envoy::Ask;
using envoy::Issuer;
using testing::HasSubstr;
using testing::Not;

constexpr long kFuture = 4'000'000'000, kPast = 1'000'000'000;

class Tokens : public envoy::LiveEnvoy {
 protected:
  // Each application is a Service "NAME" in shop with a pod of its own.
  void serve(const std::string& objects, const std::vector<std::string>& names) {
    std::string yaml =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {weft.dev/mesh: "
        "enabled}}\n";
    int number = 0;
    for (const std::string& name : names) {
      vips_[name] = "10.96.0." + std::to_string(++number);
      yaml += http_service("shop", name, vips_[name]) +
              pod_yaml("shop", name + "-1", "10.244.7." + std::to_string(number),
                       "{app: " + name + "}");
      if (!upstreams_.contains(name)) upstreams_.try_emplace(name, name);
    }
    world_.put(yaml);
    world_.put(objects);
    world_.serve("shop");
    ASSERT_TRUE(world_.plans.contains(kId));
    model::Plan plan = world_.plans.at(kId);
    for (auto& [name, cluster] : plan.clusters) {
      const std::string service =
          cluster.service.hostname.substr(0, cluster.service.hostname.find('.'));
      for (auto& endpoint : cluster.endpoints) {
        endpoint.address = "127.0.0.1";
        endpoint.port = upstreams_.at(service).port();
      }
    }
    apply(plan);
  }

  Answer ask(const std::string& service, std::vector<std::string> headers = {},
             const std::string& path = "/") {
    return envoy::send({.to = vips_.at(service) + ":9080",
                        .path = path,
                        .host = service,
                        .headers = std::move(headers)});
  }

  std::string condition(const std::string& name, const std::string& type) {
    return world_.condition({"RequestAuthentication.security.istio.io", "shop", name}, type);
  }

  L7World world_;
  std::map<std::string, std::string> vips_;
  std::map<std::string, envoy::Upstream> upstreams_;
  Issuer one_, two_{"RS256"}, stranger_;
};

std::string bearer(const std::string& token) { return "authorization: Bearer " + token; }

std::string claims(const std::string& issuer, const std::string& more = R"("aud":"shop")",
                   long expires = kFuture) {
  return R"({"iss":")" + issuer + R"(","sub":"me","exp":)" + std::to_string(expires) +
         (more.empty() ? "" : ",") + more + "}";
}

std::string rule(const std::string& issuer, const std::string& jwks, const std::string& more = "") {
  return "{issuer: '" + issuer + "', jwks: '" + jwks + "'" + (more.empty() ? "" : ", ") + more +
         "}";
}

std::string authentication(const std::string& name, const std::vector<std::string>& rules) {
  std::string all;
  for (const std::string& one : rules) all += (all.empty() ? "" : ", ") + one;
  return "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: " +
         name + ", namespace: shop}\nspec: {selector: {matchLabels: {app: " + name +
         "}}, jwtRules: [" + all + "]}\n";
}

std::string policy(const std::string& name, const std::string& rest) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: shop}\nspec: {selector: {matchLabels: {app: " + name + "}}, " + rest +
         "}\n";
}

std::string routed_to(const std::string& name, const std::string& to,
                      const std::string& before = "") {
  return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name +
         ", namespace: shop}\nspec:\n  hosts: [" + name + "]\n  http:\n" + before +
         "  - route: [{destination: {host: " + to + "}}]\n";
}

const std::string kAnyPrincipal =
    "action: ALLOW, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]";

TEST_F(Tokens, GoodOnesPassAndBadOnesAreRefusedEachWithItsWords) {
  serve(authentication("open", {rule("https://one", one_.jwks(), "audiences: [shop]")}) +
            authentication("closed", {rule("https://one", one_.jwks(), "audiences: [shop]")}) +
            policy("closed",
                   "action: ALLOW, rules: [{from: [{source: {requestPrincipals: "
                   "['https://one/*']}}]}]") +
            routed_to("free", "free"),
        {"open", "closed", "free"});
  const std::string good = one_.sign(claims("https://one"));
  const std::string none = envoy::base64url(R"({"alg":"none","typ":"JWT"})");
  struct Row {
    const char* what;
    std::string token;
    int status;
    const char* says;
  };
  for (const Row& row : std::vector<Row>{
           {"good", good, 200, ""},
           {"good among audiences", one_.sign(claims("https://one", R"("aud":["bank","shop"])")),
            200, ""},
           {"expired", one_.sign(claims("https://one", R"("aud":"shop")", kPast)), 401,
            "Jwt is expired"},
           {"not yet valid", one_.sign(claims("https://one", R"("aud":"shop","nbf":3900000000)")),
            401, "Jwt not yet valid"},
           {"wrong issuer", one_.sign(claims("https://two")), 401, "Jwt issuer is not configured"},
           {"issuer's prefix", one_.sign(claims("https://on")), 401,
            "Jwt issuer is not configured"},
           {"wrong audience", one_.sign(claims("https://one", R"("aud":"bank")")), 403,
            "Audiences in Jwt are not allowed"},
           {"no audience", one_.sign(claims("https://one", "")), 403,
            "Audiences in Jwt are not allowed"},
           {"bad signature", stranger_.sign(claims("https://one")), 401, "Jwt verification fails"},
           {"changed",
            good.substr(0, good.find('.')) + "." +
                envoy::base64url(claims("https://one", R"("aud":"shop","admin":true)")) +
                good.substr(good.rfind('.')),
            401, "Jwt verification fails"},
           {"no signature", good.substr(0, good.rfind('.') + 1), 401, "Jwt"},
           {"another algorithm", two_.sign(claims("https://one")), 401,
            "Jwks doesn't have key to match"},
           {"no algorithm", none + "." + envoy::base64url(claims("https://one")) + ".", 401, "Jwt"},
           {"not a token", "abc", 401, "Jwt is not in the form"}}) {
    for (const char* service : {"open", "closed"}) {
      const int before = upstreams_.at(service).requests();
      const Answer answer = ask(service, {bearer(row.token)});
      EXPECT_EQ(answer.status, row.status) << row.what << " " << service;
      EXPECT_THAT(answer.body, HasSubstr(row.says)) << row.what;
      EXPECT_EQ(upstreams_.at(service).requests(), before + (row.status == 200 ? 1 : 0));
    }
    EXPECT_EQ(ask("free", {bearer(row.token)}).status, 200) << "asks for no token";
  }
  for (const auto& nothing :
       {std::vector<std::string>{}, {"authorization: Bearer"}, {"authorization: Basic bWU6bWU="}}) {
    EXPECT_EQ(ask("open", nothing).status, 200) << "no token passes, as in Istio";
    const Answer denied = ask("closed", nothing);
    EXPECT_EQ(denied.status, 403);
    EXPECT_EQ(denied.body, "RBAC: access denied");
  }
  EXPECT_EQ(ask("open", {}, "/?access_token=" + good).status, 200);
  EXPECT_EQ(ask("closed", {}, "/?access_token=" + good).status, 200);
  EXPECT_EQ(ask("open", {}, "/?access_token=" + stranger_.sign(claims("https://one"))).status, 401);
}

TEST_F(Tokens, EveryIssuerHasItsOwnKeys) {
  serve(
      authentication("both", {rule("https://one", one_.jwks()), rule("https://two", two_.jwks())}) +
          policy("both", kAnyPrincipal),
      {"both"});
  EXPECT_EQ(ask("both", {bearer(one_.sign(claims("https://one")))}).status, 200);
  EXPECT_EQ(ask("both", {bearer(two_.sign(claims("https://two")))}).status, 200);
  EXPECT_EQ(ask("both", {bearer(two_.sign(claims("https://one")))}).status, 401);
  EXPECT_EQ(ask("both", {bearer(one_.sign(claims("https://two")))}).status, 401);
  EXPECT_EQ(ask("both", {bearer(one_.sign(claims("https://three")))}).status, 401);
  EXPECT_EQ(ask("both").status, 403);
}

TEST_F(Tokens, AreLookedForWhereTheRuleSays) {
  serve(authentication("header", {rule("https://one", one_.jwks(),
                                       "fromHeaders: [{name: X-Token, prefix: 'Plain '}]")}) +
            authentication("query", {rule("https://one", one_.jwks(), "fromParams: [tok]")}) +
            authentication("cookie", {rule("https://one", one_.jwks(), "fromCookies: [sid]")}) +
            policy("header", kAnyPrincipal) + policy("query", kAnyPrincipal) +
            policy("cookie", kAnyPrincipal),
        {"header", "query", "cookie"});
  const std::string good = one_.sign(claims("https://one")),
                    bad = stranger_.sign(claims("https://one"));
  EXPECT_EQ(ask("header", {"x-token: Plain " + good}).status, 200);
  EXPECT_EQ(ask("header", {"x-token: Plain " + bad}).status, 401);
  EXPECT_EQ(ask("query", {}, "/?a=b&tok=" + good).status, 200);
  EXPECT_EQ(ask("query", {}, "/?tok=" + bad).status, 401);
  EXPECT_EQ(ask("cookie", {"cookie: a=b; sid=" + good}).status, 200);
  EXPECT_EQ(ask("cookie", {"cookie: sid=" + bad}).status, 401);
  for (const char* service : {"header", "query", "cookie"}) {
    EXPECT_EQ(ask(service, {bearer(good)}).status, 403) << service << " does not look there";
    EXPECT_EQ(ask(service, {}, "/?access_token=" + good).status, 403) << service;
  }
}

TEST_F(Tokens, WhatTheApplicationSeesOfThem) {
  const std::string outputs =
      "outputPayloadToHeader: X-Payload, outputClaimToHeaders: [{header: x-sub, claim: sub}, "
      "{header: x-level, claim: org.level}]";
  serve(authentication("plain", {rule("https://one", one_.jwks())}) +
            authentication("forwards", {rule("https://one", one_.jwks(),
                                             "forwardOriginalToken: true, " + outputs)}) +
            authentication("mixed", {rule("https://two", two_.jwks()),
                                     rule("https://one", one_.jwks(), outputs)}),
        {"plain", "forwards", "mixed"});
  const std::string text = claims("https://one", R"("org":{"level":"7"})");
  const std::string good = one_.sign(text);
  EXPECT_THAT(ask("plain", {bearer(good)}).body, Not(HasSubstr("authorization")));
  const std::string seen = ask("forwards", {bearer(good)}).body;
  EXPECT_THAT(seen, HasSubstr("authorization: Bearer " + good));
  EXPECT_THAT(seen, HasSubstr("x-payload: " + envoy::base64url(text)));
  EXPECT_THAT(seen, HasSubstr("x-sub: me\r"));
  EXPECT_THAT(seen, HasSubstr("x-level: 7\r"));
  // What a client says by itself is not what a token said.
  const std::vector<std::string> forged = {"x-payload: boss", "x-sub: boss", "x-level: boss"};
  auto with = [&](const std::string& token) {
    auto headers = forged;
    headers.push_back(bearer(token));
    return headers;
  };
  for (const char* service : {"forwards", "mixed"})
    EXPECT_THAT(ask(service, forged).body, Not(HasSubstr("boss"))) << service;
  EXPECT_THAT(ask("forwards", with(one_.sign(claims("https://one")))).body, Not(HasSubstr("boss")));
  EXPECT_THAT(ask("mixed", with(one_.sign(claims("https://one")))).body, Not(HasSubstr("boss")));
  EXPECT_THAT(ask("mixed", with(two_.sign(claims("https://two")))).body, Not(HasSubstr("boss")))
      << "a token of an issuer whose rule puts nothing out";
}

TEST_F(Tokens, PoliciesAndRoutesSeeVerifiedClaimsAlone) {
  const std::string rules = rule("https://one", one_.jwks());
  const std::string by_claim =
      "  - match: [{headers: {'@request.auth.claims.tier': {exact: gold}}}, {headers: "
      "{'@request.auth.claims[org][level]': {prefix: '9'}}}]\n    route: [{destination: {host: "
      "gold}}]\n";
  serve(authentication("claimed", {rules}) + routed_to("claimed", "claimed", by_claim) +
            routed_to("unclaimed", "unclaimed", by_claim) + authentication("groups", {rules}) +
            policy("groups",
                   "action: ALLOW, rules: [{when: [{key: 'request.auth.claims[groups]', "
                   "values: [admin]}]}, {when: [{key: 'request.auth.claims[org][level]', "
                   "values: ['9']}]}]") +
            authentication("subject", {rules}) +
            policy("subject",
                   "action: ALLOW, rules: [{from: [{source: {requestPrincipals: "
                   "['https://one/me']}}]}]") +
            authentication("refusing", {rules}) +
            policy("refusing",
                   "action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]"),
        {"claimed", "unclaimed", "gold", "groups", "subject", "refusing"});
  auto token = [&](const std::string& more) {
    return bearer(one_.sign(claims("https://one", more)));
  };
  EXPECT_THAT(ask("claimed").body, HasSubstr("claimed\n"));
  EXPECT_THAT(ask("claimed", {token("")}).body, HasSubstr("claimed\n"));
  EXPECT_THAT(ask("claimed", {token(R"("tier":"gold")")}).body, HasSubstr("gold\n"));
  EXPECT_THAT(ask("claimed", {token(R"("tier":["silver","gold"])")}).body, HasSubstr("gold\n"));
  EXPECT_THAT(ask("claimed", {token(R"("tier":"golden")")}).body, HasSubstr("claimed\n"));
  EXPECT_THAT(ask("claimed", {token(R"("org":{"level":"91"})")}).body, HasSubstr("gold\n"));
  EXPECT_THAT(ask("unclaimed", {token(R"("tier":"gold")")}).body, HasSubstr("unclaimed\n"))
      << "nobody verified it";
  EXPECT_EQ(
      ask("claimed", {bearer(stranger_.sign(claims("https://one", R"("tier":"gold")")))}).status,
      401);
  EXPECT_EQ(ask("groups").status, 403);
  EXPECT_EQ(ask("groups", {token(R"("groups":"dev")")}).status, 403);
  EXPECT_EQ(ask("groups", {token(R"("groups":["dev","admin"])")}).status, 200);
  EXPECT_EQ(ask("groups", {token(R"("org":{"level":"9"})")}).status, 200);
  EXPECT_EQ(ask("subject", {token("")}).status, 200);
  EXPECT_EQ(ask("subject", {bearer(one_.sign(R"({"iss":"https://one","sub":"you"})"))}).status,
            403);
  EXPECT_EQ(ask("subject", {bearer(one_.sign(R"({"iss":"https://one"})"))}).status, 403);
  EXPECT_EQ(ask("refusing").status, 403);
  EXPECT_EQ(ask("refusing", {token("")}).status, 200);
}

TEST_F(Tokens, ABrokenKeySetClosesItsServiceAloneAndIsNamed) {
  std::string objects =
      authentication("whole", {rule("https://one", one_.jwks())}) + policy("whole", kAnyPrincipal);
  const std::map<std::string, std::string> broken = {
      {"empty", R"({"keys":[]})"},
      {"weak", R"({"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]})"},
      {"point", R"({"keys":[{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}]})"},
      {"exponent", R"({"keys":[{"kty":"RSA","n":")" + std::string(342, 'w') + R"(","e":"BQ"}]})"}};
  std::vector<std::string> names = {"whole"};
  for (const auto& [name, keys] : broken) {
    objects += authentication(name, {rule("https://one", keys)}) + policy(name, kAnyPrincipal);
    names.push_back(name);
  }
  // The server of these keys has not answered.
  objects += authentication("fetched", {"{issuer: 'https://one', jwksUri: 'http://keys/a'}"}) +
             policy("fetched", kAnyPrincipal);
  names.push_back("fetched");
  serve(objects, names);
  const std::string good = bearer(one_.sign(claims("https://one")));
  EXPECT_EQ(ask("whole", {good}).status, 200);
  EXPECT_EQ(condition("whole", "JwksResolved"), "no condition");
  for (const std::string& name : names) {
    if (name == "whole") continue;
    EXPECT_EQ(ask(name, {good}).status, 401) << name;
    EXPECT_EQ(ask(name).status, 403) << name;
    EXPECT_EQ(upstreams_.at(name).requests(), 0) << name;
    EXPECT_THAT(condition(name, "JwksResolved"), HasSubstr("False NoKeys: https://one: ")) << name;
  }
}

// Whatever the judge of keys lets through, the real Envoy takes, and verifies with.
TEST_F(Tokens, EveryKindOfKeyVerifies) {
  std::vector<std::string> names;
  std::string objects;
  std::map<std::string, std::unique_ptr<Issuer>> issuers;
  for (const char* algorithm : {"ES256", "ES384", "ES512", "RS256", "EdDSA", "HS256"}) {
    std::string name = algorithm;
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    names.push_back(name);
    issuers[name] = std::make_unique<Issuer>(algorithm);
    objects += authentication(name, {rule("https://one", issuers[name]->jwks())});
  }
  const std::string modulus(341, 'w');
  for (const char* exponent : {"Aw", "AQAB"}) {
    names.push_back(std::string("rsa") + (exponent[1] == 'w' ? "3" : "f4"));
    objects += authentication(names.back(),
                              {rule("https://one", R"({"keys":[{"kty":"RSA","n":")" + modulus +
                                                       R"(w","e":")" + exponent + "\"}]}")});
  }
  serve(objects, names);
  for (const auto& [name, issuer] : issuers) {
    EXPECT_EQ(ask(name, {bearer(issuer->sign(claims("https://one")))}).status, 200) << name;
    EXPECT_EQ(ask(name, {bearer(stranger_.sign(claims("https://one")))}).status, 401) << name;
  }
}

}  // namespace
}  // namespace weft::controlplane
