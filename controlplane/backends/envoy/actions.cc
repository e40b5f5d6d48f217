#include "controlplane/backends/envoy/actions.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <numeric>

#include "controlplane/backends/envoy/match.h"
#include "controlplane/backends/envoy/wire.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.pb.h"

namespace weft::controlplane::envoy {
namespace {

namespace route = ::envoy::config::route::v3;
namespace core = ::envoy::config::core::v3;
using Kind = model::TextMatch::Kind;
using model::Milliseconds;

// A cluster that is never there.
constexpr const char* kBrokenCluster = "weft.broken";
constexpr std::uint32_t kHostReselections = 5;

bool is_authority(const std::string& name) { return name == ":authority" || name == "host"; }

// Also used for a single backend of a weighted route.
template <class Message>
void add_headers(const model::HeaderChange& request, const model::HeaderChange& response,
                 Message& out) {
  auto changes = [](const model::HeaderChange& change, auto add, auto remove) {
    for (const auto& [name, value] : change.set) {
      if (!is_authority(name) && !name.starts_with(':')) set_header(name, value, *add(), false);
    }
    for (const auto& [name, value] : change.add) {
      if (!is_authority(name) && !name.starts_with(':')) set_header(name, value, *add(), true);
    }
    for (const std::string& name : change.remove) {
      if (!is_authority(name) && !name.starts_with(':')) remove(name);
    }
  };
  changes(
      request, [&] { return out.add_request_headers_to_add(); },
      [&](const std::string& name) { out.add_request_headers_to_remove(name); });
  changes(
      response, [&] { return out.add_response_headers_to_add(); },
      [&](const std::string& name) { out.add_response_headers_to_remove(name); });
}

// Istio: setting ":authority" or "host" rewrites the host.
std::string authority_of(const model::HeaderChange& change) {
  for (const auto* list : {&change.set, &change.add}) {
    for (const auto& [name, value] : *list) {
      if (is_authority(name)) return value;
    }
  }
  return "";
}

std::string substitution(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\\' ? std::string("\\\\") : std::string(1, c);
  return out;
}

template <class Message>
void encode_rewrite(const model::Rewrite& rewrite, const std::optional<model::TextMatch>& path,
                    Message& out) {
  auto regex = [&](const std::string& pattern, const std::string& by) {
    out.mutable_regex_rewrite()->mutable_pattern()->set_regex(pattern);
    out.mutable_regex_rewrite()->set_substitution(by);
  };
  if (rewrite.path_kind == model::Rewrite::Kind::kNone) return;
  if (rewrite.path_kind == model::Rewrite::Kind::kRegex) return regex(rewrite.regex, rewrite.path);
  const bool by_prefix = rewrite.path_kind == model::Rewrite::Kind::kPrefix;
  if (by_prefix && !path) {
    if (!rewrite.path.empty() && rewrite.path != "/") out.set_prefix_rewrite(rewrite.path);
    return;
  }
  if (by_prefix && path->kind == Kind::kPrefix) {
    if (rewrite.path.empty()) return regex("^" + quote(path->value), "");
    out.set_prefix_rewrite(rewrite.path);
    return;
  }
  if (by_prefix && path->kind == Kind::kSegmentPrefix) {
    std::string prefix = path->value, by = rewrite.path;
    while (prefix.ends_with('/')) prefix.pop_back();
    while (by.ends_with('/')) by.pop_back();
    if (by.empty()) return regex("^" + quote(prefix) + "/*", "/");
    out.set_prefix_rewrite(prefix.empty() ? by + "/" : by);
    return;
  }
  regex("^/.*$", substitution(rewrite.path.empty() ? "/" : rewrite.path));
}

void encode_redirect(const model::Redirect& redirect, const std::optional<model::TextMatch>& path,
                     route::RedirectAction& out) {
  out.set_host_redirect(redirect.authority);
  if (!redirect.scheme.empty()) out.set_scheme_redirect(redirect.scheme);
  if (redirect.port && !redirect.port_unsaid) out.set_port_redirect(*redirect.port);
  if (redirect.path.path_kind == model::Rewrite::Kind::kFull) {
    out.set_path_redirect(redirect.path.path);
  } else {
    encode_rewrite(redirect.path, path, out);
  }
  switch (redirect.code) {
    case 302:
      out.set_response_code(route::RedirectAction::FOUND);
      break;
    case 303:
      out.set_response_code(route::RedirectAction::SEE_OTHER);
      break;
    case 307:
      out.set_response_code(route::RedirectAction::TEMPORARY_REDIRECT);
      break;
    case 308:
      out.set_response_code(route::RedirectAction::PERMANENT_REDIRECT);
      break;
    default:
      out.set_response_code(route::RedirectAction::MOVED_PERMANENTLY);
  }
}

void encode_retry(const model::Retry& retry, bool reselect, route::RetryPolicy& out) {
  std::string on;
  std::vector<std::string> tokens = retry.on;
  const std::string codes = "retriable-status-codes";
  if (!retry.status_codes.empty() && std::ranges::find(tokens, codes) == tokens.end())
    tokens.push_back(codes);
  for (const std::string& token : tokens) on += (on.empty() ? "" : ",") + token;
  out.set_retry_on(on);
  out.mutable_num_retries()->set_value(retry.attempts);
  for (const std::uint32_t code : retry.status_codes) out.add_retriable_status_codes(code);
  if (retry.per_try && retry.per_try->count() > 0)
    set_duration(*retry.per_try, *out.mutable_per_try_timeout());
  if (retry.backoff_base != Milliseconds{25} || retry.backoff_max) {
    const Milliseconds base = std::max(retry.backoff_base, Milliseconds{1});
    set_duration(base, *out.mutable_retry_back_off()->mutable_base_interval());
    if (retry.backoff_max)
      set_duration(std::max(base, *retry.backoff_max),
                   *out.mutable_retry_back_off()->mutable_max_interval());
  }
  if (reselect) {
    route::RetryPolicy::RetryHostPredicate& other = *out.add_retry_host_predicate();
    other.set_name("envoy.retry_host_predicates.previous_hosts");
    pack(::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate(),
         *other.mutable_typed_config());
    out.set_host_selection_retry_max_attempts(kHostReselections);
  }
  if (retry.remote_localities.value_or(false)) {
    ::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig config;
    config.set_update_frequency(2);
    out.mutable_retry_priority()->set_name("envoy.retry_priorities.previous_priorities");
    pack(config, *out.mutable_retry_priority()->mutable_typed_config());
  }
}

// Istio's default, when a rule says nothing.
model::Retry default_retry() {
  return {.attempts = 2,
          .on = {"connect-failure", "refused-stream", "unavailable", "cancelled",
                 "retriable-status-codes"}};
}

void encode_hash(const model::HashKey& hash, route::RouteAction::HashPolicy& out) {
  switch (hash.from) {
    case model::HashKey::From::kHeader:
      out.mutable_header()->set_header_name(hash.name);
      return;
    case model::HashKey::From::kCookie:
      out.mutable_cookie()->set_name(hash.name);
      if (!hash.path.empty()) out.mutable_cookie()->set_path(hash.path);
      if (hash.ttl) set_duration(*hash.ttl, *out.mutable_cookie()->mutable_ttl());
      return;
    case model::HashKey::From::kQuery:
      out.mutable_query_parameter()->set_name(hash.name);
      return;
    case model::HashKey::From::kSourceIp:
      out.mutable_connection_properties()->set_source_ip(true);
  }
}

// Weights that add up to what Envoy can count.
std::vector<std::uint32_t> scaled(const std::vector<model::Backend>& backends) {
  long double sum = 0;
  for (const model::Backend& one : backends) sum += static_cast<long double>(one.weight);
  const long double limit = std::numeric_limits<std::uint32_t>::max();
  const long double by =
      sum > limit ? limit / (sum + static_cast<long double>(backends.size())) : 1;
  std::vector<std::uint32_t> out;
  for (const model::Backend& one : backends) {
    const auto weight = static_cast<std::uint32_t>(static_cast<long double>(one.weight) * by);
    out.push_back(one.weight > 0 ? std::max(weight, 1u) : 0);
  }
  return out;
}

// False when nothing stands behind the route.
bool encode_backends(const model::PlanRoute& plan, route::RouteAction& out) {
  const std::vector<model::Backend>& backends = plan.rule.backends;
  const std::vector<std::uint32_t> weights = scaled(backends);
  std::vector<std::size_t> used;
  for (std::size_t i = 0; i < backends.size(); ++i) {
    if (weights[i] > 0 || backends.size() == 1) used.push_back(i);
  }
  auto is_broken = [&](std::size_t i) {
    return !backends[i].broken.empty() || i >= plan.clusters.size() || plan.clusters[i].empty();
  };
  if (std::ranges::all_of(used, is_broken)) return false;
  const model::Backend& first = backends[used.front()];
  if (used.size() == 1 && first.request.empty() && first.response.empty()) {
    out.set_cluster(plan.clusters[used.front()]);
    return true;
  }
  for (const std::size_t i : used) {
    route::WeightedCluster::ClusterWeight& wire = *out.mutable_weighted_clusters()->add_clusters();
    wire.set_name(is_broken(i) ? kBrokenCluster : plan.clusters[i]);
    wire.mutable_weight()->set_value(std::max(weights[i], used.size() == 1 ? 1u : 0u));
    add_headers(backends[i].request, backends[i].response, wire);
    const std::string authority = authority_of(backends[i].request);
    if (!authority.empty()) wire.set_host_rewrite_literal(authority);
    if (is_broken(i))
      out.set_cluster_not_found_response_code(route::RouteAction::INTERNAL_SERVER_ERROR);
  }
  return true;
}

void encode_mirrors(const model::PlanRoute& plan, route::RouteAction& out) {
  for (std::size_t i = 0; i < plan.rule.mirrors.size() && i < plan.mirror_clusters.size(); ++i) {
    const model::Mirror& mirror = plan.rule.mirrors[i];
    if (mirror.ppm == 0 || plan.mirror_clusters[i].empty()) continue;
    route::RouteAction::RequestMirrorPolicy& wire = *out.add_request_mirror_policies();
    wire.set_cluster(plan.mirror_clusters[i]);
    wire.mutable_runtime_fraction()->mutable_default_value()->set_numerator(mirror.ppm);
    wire.mutable_runtime_fraction()->mutable_default_value()->set_denominator(
        ::envoy::type::v3::FractionalPercent::MILLION);
    wire.mutable_trace_sampled()->set_value(false);
  }
}

}  // namespace

std::string header_value(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    std::size_t end = i + 1;
    while (end < text.size() &&
           (std::isupper(static_cast<unsigned char>(text[end])) != 0 ||
            std::isdigit(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_'))
      ++end;
    const bool named = end > i + 1;
    if (named && end < text.size() && text[end] == '(') {
      const auto close = text.find(')', end);
      end = close == std::string::npos ? text.size() : close + 1;
    }
    if (named && end < text.size() && text[end] == ':') {
      do ++end;
      while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0);
    }
    if (named && end < text.size() && text[end] == '%') {
      out += text.substr(i, end - i + 1);
      i = end;
    } else {
      out += "%%";
      if (i + 1 < text.size() && text[i + 1] == '%') ++i;
    }
  }
  return out;
}

void set_header(const std::string& name, const std::string& value, core::HeaderValueOption& out,
                bool append) {
  out.mutable_header()->set_key(name);
  out.mutable_header()->set_value(header_value(value));
  out.set_append_action(append ? core::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD
                               : core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
  if (value.empty()) out.set_keep_empty_value(true);
}

void encode_action(const model::PlanRoute& plan, const std::optional<model::TextMatch>& path,
                   route::Route& out) {
  const model::HttpRule& rule = plan.rule;
  add_headers(rule.request, rule.response, out);
  if (rule.redirect) return encode_redirect(*rule.redirect, path, *out.mutable_redirect());
  if (rule.direct) {
    out.mutable_direct_response()->set_status(rule.direct->status);
    if (!rule.direct->body.empty())
      out.mutable_direct_response()->mutable_body()->set_inline_string(rule.direct->body);
    return;
  }
  route::RouteAction action;
  if (!encode_backends(plan, action)) {
    out.mutable_direct_response()->set_status(500);
    return;
  }
  const Milliseconds timeout = std::max(rule.timeout.value_or(Milliseconds{0}), Milliseconds{0});
  set_duration(timeout, *action.mutable_timeout());
  // Deprecated, but with max_stream_duration Envoy ignores `timeout` for what is no gRPC (seen with
  // 1.40.0); Istio keeps to it for the same reason.
  set_duration(timeout, *action.mutable_max_grpc_timeout());
  std::optional<model::Retry> retry = rule.retry;
  if (!retry && plan.default_retry) retry = default_retry();
  if (retry && retry->attempts > 0)
    encode_retry(*retry, !plan.hash.has_value(), *action.mutable_retry_policy());
  encode_rewrite(rule.rewrite, path, action);
  const std::string authority =
      rule.rewrite.authority.empty() ? authority_of(rule.request) : rule.rewrite.authority;
  if (!authority.empty()) action.set_host_rewrite_literal(authority);
  encode_mirrors(plan, action);
  if (plan.hash) encode_hash(*plan.hash, *action.add_hash_policy());
  *out.mutable_route() = std::move(action);
}

}  // namespace weft::controlplane::envoy
