// Where redirects point and what rewrites leave of a path: every row of the Gateway API's tables,
// and Istio's own rules, asked of the real Envoy and of `weftctl explain`'s judge.
#include <gmock/gmock.h>

#include "controlplane/explain/evaluate.h"
#include "routed.h"

namespace weft::controlplane {
namespace {

using envoy::Answer;
using envoy::Ask;

std::string virtual_service(const std::string& rule) {
  return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, "
         "namespace: default}\nspec: {hosts: [reviews], http: [" +
         rule + "]}\n";
}
std::string istio_redirect(const std::string& to) {
  return virtual_service("{redirect: {" + to + "}}");
}
std::string istio_rewrite(const std::string& match, const std::string& uri) {
  const std::string matches = match.empty() ? "" : "match: [{uri: " + match + "}], ";
  return virtual_service("{" + matches + "rewrite: {uri: '" + uri +
                         "'}, route: [{destination: {host: reviews-v1}}]}");
}

std::string http_route(const std::string& prefix, const std::string& filter, bool backend) {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: "
         "reviews, namespace: default}\nspec:\n  parentRefs: [{group: \"\", kind: Service, name: "
         "reviews}]\n  rules: [{matches: [{path: {type: PathPrefix, value: '" +
         prefix + "'}}], filters: [" + filter + "]" +
         (backend ? ", backendRefs: [{name: reviews-v1, port: 9080}]" : "") + "}]\n";
}
std::string gateway_redirect(const std::string& to) {
  return http_route("/", "{type: RequestRedirect, requestRedirect: {" + to + "}}", false);
}
std::string replaced(const std::string& by) {
  return "{path: {type: ReplacePrefixMatch, replacePrefixMatch: '" + by + "'}}";
}

class Locations : public Routed {
 protected:
  static std::string location(const Answer& answer) {
    const auto found = answer.head.find("\r\nlocation: ");
    if (found == std::string::npos) return "none, " + std::to_string(answer.status);
    const auto start = found + 12;
    return answer.head.substr(start, answer.head.find('\r', start) - start);
  }
  // The path that the upstream got.
  static std::string path(const Answer& answer) {
    const auto start = answer.body.find('\n') + 1;
    const auto end = answer.body.find(" HTTP/1.1\r\n");
    if (answer.status != 200 || end == std::string::npos) return std::to_string(answer.status);
    return answer.body.substr(start + 4, end - start - 4);  // "GET "
  }
  explain::Outcome judged(const Ask& ask) const {
    for (const model::PlanService& one : plan_.services) {
      if (one.key.hostname != "reviews.default.svc.cluster.local") continue;
      return explain::evaluate(
          one, {.target = ask.path, .authority = ask.host, .headers = {}, .peer = ask.peer},
          WallClock::now());
    }
    return {};
  }
};

TEST_F(Locations, TheRedirectsPortIsTheSchemesOrTheListenersByEachApisRule) {
  struct Row {
    std::string objects, host, location;
  };
  const std::string https = "scheme: https", host = "hostname: new.host", back = "scheme: http",
                    to = "authority: new.host", listener = "derivePort: FROM_REQUEST_PORT",
                    own = "derivePort: FROM_PROTOCOL_DEFAULT";
  const std::vector<Row> rows = {
      // Gateway API: the scheme's well-known port when there is a scheme, else the listener's.
      {gateway_redirect(https), "reviews:9080", "https://reviews:443/a?q"},
      {gateway_redirect(https), "reviews:443", "https://reviews:443/a?q"},
      {gateway_redirect(https), "reviews", "https://reviews/a?q"},
      {gateway_redirect(back), "reviews:9080", "http://reviews:80/a?q"},
      {gateway_redirect(https + ", " + host), "reviews:9080", "https://new.host/a?q"},
      {gateway_redirect(host), "reviews:9080", "http://new.host:9080/a?q"},
      {gateway_redirect("path: {type: ReplaceFullPath, replaceFullPath: /b}"), "reviews",
       "http://reviews:9080/b?q"},
      {gateway_redirect("port: 8443, " + https), "reviews:9080", "https://reviews:8443/a?q"},
      {gateway_redirect("port: 80"), "reviews:9080", "http://reviews:80/a?q"},
      {gateway_redirect("port: 80"), "reviews", "http://reviews/a?q"},
      {gateway_redirect("port: 443"), "reviews", "http://reviews:443/a?q"},
      {gateway_redirect("port: 80, " + host), "reviews:9080", "http://new.host/a?q"},
      {gateway_redirect("port: 80, " + https), "reviews", "https://reviews:80/a?q"},
      // Istio: as it came, unless derivePort says whose.
      {istio_redirect("uri: /b"), "reviews:9080", "http://reviews:9080/b?q"},
      {istio_redirect("uri: /b"), "reviews", "http://reviews/b?q"},
      {istio_redirect(to), "reviews:9080", "http://new.host/a?q"},
      {istio_redirect(https), "reviews:9080", "https://reviews:9080/a?q"},
      {istio_redirect(to + ", " + listener), "reviews", "http://new.host:9080/a?q"},
      {istio_redirect("uri: /b, " + listener), "reviews", "http://reviews:9080/b?q"},
      {istio_redirect(https + ", " + own), "reviews:9080", "https://reviews:443/a?q"},
      {istio_redirect(https + ", " + own), "reviews", "https://reviews/a?q"},
      {istio_redirect("uri: /b, " + own), "reviews:9080", "http://reviews:80/b?q"},
  };
  std::string said;
  for (const Row& row : rows) {
    if (row.objects != said) say(said = row.objects);
    const Ask ask = to_reviews({.path = "/a?q", .host = row.host});
    EXPECT_EQ(location(get(ask)), row.location) << row.host << row.objects;
    EXPECT_EQ(judged(ask).location, row.location) << row.host << row.objects;
  }
}

TEST_F(Locations, ReplacePrefixMatchIsTheTableOfTheGatewayApi) {
  struct Row {
    std::string path, prefix, by, out;
  };
  const std::vector<Row> rows = {
      {"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
      {"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
      {"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
      {"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
      {"/foo", "/foo", "/xyz", "/xyz"},
      {"/foo/", "/foo", "/xyz", "/xyz/"},
      {"/foo/bar", "/foo", "", "/bar"},
      {"/foo/", "/foo", "", "/"},
      {"/foo", "/foo", "", "/"},
      {"/foo/", "/foo", "/", "/"},
      {"/foo", "/foo", "/", "/"},
      {"/foo/bar", "/foo", "/", "/bar"},
      // Beyond the table: the prefix of every path, queries, prefixes that come twice.
      {"/foo/bar", "/", "/xyz", "/xyz/foo/bar"},
      {"/foo/bar", "/", "/xyz/", "/xyz/foo/bar"},
      {"/", "/", "/xyz", "/xyz/"},
      {"/foo/bar", "/", "/", "/foo/bar"},
      {"/foo/bar", "/", "", "/foo/bar"},
      {"/foo?a=/foo", "/foo", "", "/?a=/foo"},
      {"/foo?a", "/foo", "/xyz", "/xyz?a"},
      {"/foo/foo/x", "/foo", "/", "/foo/x"},
      {"/a.b/x", "/a.b", "/", "/x"},
  };
  for (const Row& row : rows) {
    const std::string what = row.path + " " + row.prefix + " -> " + row.by;
    const Ask ask = to_reviews({.path = row.path, .host = "reviews:9080"});
    say(http_route(row.prefix, "{type: URLRewrite, urlRewrite: " + replaced(row.by) + "}", true));
    EXPECT_EQ(path(get(ask)), row.out) << what;
    EXPECT_EQ(judged(ask).path, row.out) << what;
    say(http_route(row.prefix, "{type: RequestRedirect, requestRedirect: " + replaced(row.by) + "}",
                   false));
    EXPECT_EQ(location(get(ask)), "http://reviews:9080" + row.out) << what;
    EXPECT_EQ(judged(ask).location, "http://reviews:9080" + row.out) << what;
  }
}

TEST_F(Locations, IstiosRewriteTakesTheTextOfThePrefixOrTheWholePath) {
  struct Row {
    std::string path, match, uri, out;
  };
  const std::vector<Row> rows = {
      {"/foobar", "{prefix: /foo}", "/xyz", "/xyzbar"},
      {"/foo/bar", "{prefix: /foo}", "/", "//bar"},
      {"/foo/bar", "{prefix: /foo/}", "/", "/bar"},
      {"/foo/bar", "{prefix: /}", "/xyz/", "/xyz/foo/bar"},
      {"/foo/bar", "{prefix: /}", "/xyz", "/xyzfoo/bar"},
      {"/foo/bar", "{prefix: /}", "/", "/foo/bar"},
      {"/foo/bar?q", "", "/", "/foo/bar?q"},
      {"/foo/bar?q", "", "/xyz/", "/xyz/foo/bar?q"},
      {"/foo", "{exact: /foo}", "/xyz", "/xyz"},
      {"/foo/1", "{regex: '/foo/[0-9]+'}", "/xyz", "/xyz"},
  };
  for (const Row& row : rows) {
    const Ask ask = to_reviews({.path = row.path, .host = "reviews:9080"});
    say(istio_rewrite(row.match, row.uri));
    const std::string what = row.path + " " + row.match + " -> " + row.uri;
    EXPECT_EQ(path(get(ask)), row.out) << what;
    EXPECT_EQ(judged(ask).path, row.out) << what;
  }
}

}  // namespace
}  // namespace weft::controlplane
