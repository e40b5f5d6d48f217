// Tokens, asked of the real Envoy.
#include <gmock/gmock.h>

#include "controlplane/backends/envoy/authn.h"
#include "issuer.h"
#include "live.h"
#include "plans.h"

namespace weft::controlplane::envoy {
namespace {

using testing::HasSubstr;

class Tokens : public LiveEnvoy {
 protected:
  Upstream v1_{"v1"}, v2_{"v2"};
  Issuer issuer_, stranger_;

  model::Plan plan() {
    model::Plan plan = waypoint();
    add(plan, cluster("reviews", v1_.port()));
    add(plan, cluster("ratings", v2_.port()));
    plan.services = {service("reviews", "10.96.0.1"), service("ratings", "10.96.0.2")};
    model::JwtRule rule{.issuer = "https://issuer", .jwks = issuer_.jwks()};
    rule.audiences = {"shop"};
    plan.services[0].jwt = {rule};
    return plan;
  }
  std::string token(const std::string& more = "", const std::string& issuer = "https://issuer",
                    long expires = 4'000'000'000, const std::string& audience = "shop") {
    return "authorization: Bearer " +
           issuer_.sign(R"({"iss":")" + issuer + R"(","sub":"me","aud":")" + audience +
                        R"(","exp":)" + std::to_string(expires) + more + "}");
  }
};

TEST_F(Tokens, BadOnesAreRefusedAndNoneIsNot) {
  apply(plan());
  EXPECT_EQ(send({}).status, 200);
  EXPECT_EQ(send({.headers = {token()}}).status, 200);
  EXPECT_EQ(send({.headers = {token("", "https://issuer", 1'000'000'000)}}).body, "Jwt is expired");
  const Answer wrong = send({.headers = {token("", "https://other")}});
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.body, "Jwt issuer is not configured");
  EXPECT_EQ(send({.headers = {token("", "https://issuer", 4'000'000'000, "bank")}}).status, 403);
  const std::string forged =
      "authorization: Bearer " + stranger_.sign(R"({"iss":"https://issuer","aud":"shop"})");
  EXPECT_EQ(send({.headers = {forged}}).status, 401);
  EXPECT_EQ(send({.to = "10.96.0.2:80", .headers = {forged}}).status, 200) << "asks for no token";
}

TEST_F(Tokens, PolicyAndRoutesSeeClaims) {
  model::Plan plan = this->plan();
  model::AuthzRule rule{
      .from = {{.request_principals = {{exact("https://issuer/me")}, {}}}},
      .when = {{.key = "request.auth.claims[groups]", .values = {{exact("admin")}, {}}}}};
  plan.services[0].authz = only(allow({rule}));
  model::PlanRoute to_v2 = plan.services[1].routes[0];
  to_v2.rule.matches = {{.claims = {{"tier", exact("gold")}}}};
  plan.services[0].routes.insert(plan.services[0].routes.begin(), to_v2);
  apply(plan);
  EXPECT_EQ(send({}).status, 403) << "the policy wants a token";
  EXPECT_EQ(send({.headers = {token()}}).status, 403);
  EXPECT_EQ(send({.headers = {token(R"(,"groups":["dev"])")}}).status, 403);
  EXPECT_THAT(send({.headers = {token(R"(,"groups":["dev","admin"])")}}).body, HasSubstr("v1\n"));
  EXPECT_THAT(send({.headers = {token(R"(,"groups":"admin","tier":"gold")")}}).body,
              HasSubstr("v2\n"));
}

TEST_F(Tokens, AKeySetThatIsNoneOpensNothingAndBreaksNobody) {
  model::Plan plan = this->plan();
  plan.services[1].jwt = {{.issuer = "https://issuer", .jwks = "no JSON"}};
  apply(plan);
  EXPECT_EQ(send({.headers = {token()}}).status, 200);
  const Answer closed = send({.to = "10.96.0.2:80", .headers = {token()}});
  EXPECT_EQ(closed.status, 401);
  EXPECT_THAT(closed.body, HasSubstr("Jwks doesn't have key to match"));
  EXPECT_EQ(send({.to = "10.96.0.2:80"}).status, 200);
}

}  // namespace
}  // namespace weft::controlplane::envoy
