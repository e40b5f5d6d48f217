#include <algorithm>
#include <array>

#include "controlplane/frontends/istio/route_parts.h"

namespace weft::controlplane::istio {
namespace {

using model::Backend;
using model::HttpRule;
using model::Rewrite;
using model::TextMatch;
using source::Field;

constexpr std::string_view kPrefixVariable = "%PREFIX()%";

model::Redirect redirect(const Field& field, RouteContext& context) {
  field.only({"uri", "authority", "port", "derivePort", "scheme", "redirectCode"});
  model::Redirect out;
  const auto code = field["redirectCode"].integer(300, 399, 301);
  if (code != 301 && code != 302 && code != 303 && code != 307 && code != 308)
    field["redirectCode"].refuse("must be 301, 302, 303, 307 or 308");
  out.code = static_cast<std::uint32_t>(code);
  out.scheme = field["scheme"].string();
  if (field["scheme"].present() && out.scheme != "http" && out.scheme != "https")
    field["scheme"].refuse("must be http or https");
  out.authority = field["authority"].string();
  if (field["port"].present()) out.port = field["port"].port();
  if (field["derivePort"].present()) {
    const std::string how = field["derivePort"].string();
    if (field["port"].present()) field["derivePort"].refuse("cannot be set together with port");
    if (how == "FROM_PROTOCOL_DEFAULT") {
      out.port_from = model::Redirect::Port::kOfScheme;
    } else if (how == "FROM_REQUEST_PORT") {
      out.port_from = model::Redirect::Port::kOfListener;
    } else {
      field["derivePort"].refuse("must be FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT");
    }
  }
  if (const std::string uri = field["uri"].string(); uri.starts_with(kPrefixVariable)) {
    out.path = {.path_kind = Rewrite::Kind::kPrefix, .path = uri.substr(kPrefixVariable.size())};
  } else if (!uri.empty()) {
    if (!uri.starts_with('/')) field["uri"].refuse("must start with /");
    out.path = {.path_kind = Rewrite::Kind::kFull, .path = uri};
  }
  if (out.authority.empty() && out.scheme.empty() && !out.port &&
      out.port_from == model::Redirect::Port::kAsItCame &&
      out.path.path_kind == Rewrite::Kind::kNone)
    field.refuse("must have uri, authority, scheme or port");
  return out;
}

model::DirectResponse direct_response(const Field& field) {
  field.only({"status", "body"});
  field["body"].only({"string", "bytes"});
  model::DirectResponse out;
  if (!field["status"].present()) field["status"].refuse("is required");
  out.status = static_cast<std::uint32_t>(field["status"].integer(200, 599, 200));
  if (field["body"]["bytes"].present())
    field["body"]["bytes"].refuse("is not supported: write the body as string");
  out.body = field["body"]["string"].string();
  constexpr std::size_t kBodyMax = 1 << 20;
  if (out.body.size() > kBodyMax) field["body"]["string"].refuse("must be at most 1 MiB long");
  return out;
}

Rewrite rewrite(const Field& field, const std::vector<model::RequestMatch>& matches) {
  field.only({"uri", "authority", "uriRegexRewrite"});
  Rewrite out{.authority = field["authority"].string()};
  const Field uri = field["uri"], regex = field["uriRegexRewrite"];
  regex.only({"match", "rewrite"});
  if (uri.present() && regex.present()) regex.refuse("cannot be set together with uri");
  if (uri.present()) {
    // The whole path was matched: the whole path is replaced.
    const bool whole =
        !matches.empty() && std::all_of(matches.begin(), matches.end(), [](const auto& match) {
          return match.path && match.path->kind != TextMatch::Kind::kPrefix;
        });
    out.path_kind = whole ? Rewrite::Kind::kFull : Rewrite::Kind::kPrefix;
    out.path = uri.string();
  } else if (regex.present()) {
    out.path_kind = Rewrite::Kind::kRegex;
    if (regex["match"].string().empty()) regex["match"].refuse("is required");
    out.regex = read::regex(regex["match"]);
    out.path = regex["rewrite"].string();
  } else if (out.authority.empty()) {
    field.refuse("must have uri, authority or uriRegexRewrite");
  }
  return out;
}

// percentage.value, else an old integer spelling, else `otherwise`.
std::uint32_t share(const Field& percentage, const Field& old, std::uint32_t otherwise,
                    RouteContext& context) {
  percentage.only({"value"});
  context.notes.warn(old, "deprecated: use percentage.value");
  if (percentage.present())
    return percentage["value"].present() ? read::percent(percentage["value"]) : 0;
  if (old.present()) return read::percent(old);
  return otherwise;
}

void mirrors(const Field& field, RouteContext& context, std::vector<model::Mirror>& out) {
  constexpr std::uint32_t kAll = 1'000'000;
  const Field one = field["mirror"], many = field["mirrors"];
  if (one.present() && many.present()) many.refuse("cannot be set together with mirror");
  const Field percent = field["mirrorPercent"], underscore = field["mirror_percent"],
              percentage = field["mirrorPercentage"];
  if (percent.present() && underscore.present())
    underscore.refuse("cannot be set together with mirrorPercent");
  context.notes.warn(percent, "deprecated: use mirrorPercentage.value");
  context.notes.warn(underscore, "deprecated: use mirrorPercentage.value");
  percentage.only({"value"});
  if (one.present()) {
    model::Mirror mirror{.to = destination(one, context), .ppm = kAll};
    if (percentage.present()) {
      mirror.ppm = percentage["value"].present() ? read::percent(percentage["value"]) : 0;
    } else if (percent.present() || underscore.present()) {
      mirror.ppm = read::percent(percent.present() ? percent : underscore);
    }
    if (mirror.ppm > 0) out.push_back(std::move(mirror));
  } else {
    for (const Field& unused : {percent, underscore, percentage})
      if (unused.present()) unused.refuse("needs mirror");
  }
  for (const Field& entry : many.list()) {
    entry.only({"destination", "percentage"});
    if (!entry["destination"].present()) entry["destination"].refuse("is required");
    model::Mirror mirror{.to = destination(entry["destination"], context), .ppm = kAll};
    entry["percentage"].only({"value"});
    if (entry["percentage"].present())
      mirror.ppm =
          entry["percentage"]["value"].present() ? read::percent(entry["percentage"]["value"]) : 0;
    if (mirror.ppm > 0) out.push_back(std::move(mirror));
  }
}

std::optional<std::uint32_t> grpc_status(const Field& field) {
  constexpr std::array<std::string_view, 17> kNames = {"OK",
                                                       "CANCELLED",
                                                       "UNKNOWN",
                                                       "INVALID_ARGUMENT",
                                                       "DEADLINE_EXCEEDED",
                                                       "NOT_FOUND",
                                                       "ALREADY_EXISTS",
                                                       "PERMISSION_DENIED",
                                                       "RESOURCE_EXHAUSTED",
                                                       "FAILED_PRECONDITION",
                                                       "ABORTED",
                                                       "OUT_OF_RANGE",
                                                       "UNIMPLEMENTED",
                                                       "INTERNAL",
                                                       "UNAVAILABLE",
                                                       "DATA_LOSS",
                                                       "UNAUTHENTICATED"};
  const std::string text = field.string();
  for (std::uint32_t i = 0; i < kNames.size(); ++i) {
    if (text == kNames[i] || text == std::to_string(i)) return i;
  }
  field.refuse("must be a gRPC status like UNAVAILABLE");
  return std::nullopt;
}

// What the rule does is beyond Weft: its requests get a 500 rather than something else.
void fail_closed(HttpRule& rule) {
  rule.backends.clear();
  rule.retry.reset();
  rule.redirect.reset();
  rule.direct.reset();
  rule.mirrors.clear();
  rule.fault.reset();
}

}  // namespace

std::optional<model::Fault> fault(const Field& field, RouteContext& context) {
  if (!field.present()) return std::nullopt;
  field.only({"delay", "abort"});
  model::Fault out;
  const Field delay = field["delay"], abort = field["abort"];
  delay.only({"percentage", "percent", "fixedDelay", "exponentialDelay"});
  abort.only({"percentage", "percent", "httpStatus", "grpcStatus", "http2Error"});
  if (!delay.present() && !abort.present()) field.refuse("must have delay or abort");
  if (delay.present()) {
    if (delay["exponentialDelay"].present())
      delay["exponentialDelay"].refuse("is not supported: use fixedDelay");
    if (!delay["fixedDelay"].present()) delay["fixedDelay"].refuse("is required");
    out.delay = read::duration(delay["fixedDelay"], model::Milliseconds(1))
                    .value_or(model::Milliseconds(0));
    out.delay_ppm = share(delay["percentage"], delay["percent"], 0, context);
    if (!delay["percentage"].present() && !delay["percent"].present())
      context.notes.warn(delay, "has no percentage, so it never happens");
  }
  if (abort.present()) {
    if (abort["http2Error"].present())
      abort["http2Error"].refuse("is not supported: use httpStatus");
    if (abort["httpStatus"].present() == abort["grpcStatus"].present())
      abort.refuse("must have one of httpStatus, grpcStatus");
    if (abort["httpStatus"].present())
      out.abort_status = static_cast<std::uint32_t>(abort["httpStatus"].integer(200, 599));
    if (abort["grpcStatus"].present()) out.abort_grpc_status = grpc_status(abort["grpcStatus"]);
    out.abort_ppm = share(abort["percentage"], abort["percent"], 0, context);
    if (!abort["percentage"].present() && !abort["percent"].present())
      context.notes.warn(abort, "has no percentage, so it never happens");
  }
  return out;
}

std::optional<model::Retry> retries(const Field& field, RouteContext& context) {
  if (!field.present()) return std::nullopt;
  field.only({"attempts", "perTryTimeout", "retryOn", "retryRemoteLocalities",
              "retryIgnorePreviousHosts", "backoff"});
  model::Retry out;
  out.attempts = static_cast<std::uint32_t>(field["attempts"].integer(0, 1'000'000));
  out.per_try = read::duration(field["perTryTimeout"], model::Milliseconds(1));
  if (out.attempts == 0 && (field["retryOn"].present() || out.per_try)) {
    field.refuse("attempts is 0 (off), but the other fields ask for retries");
  }
  out.backoff_base =
      read::duration(field["backoff"], model::Milliseconds(1)).value_or(model::Milliseconds(25));
  if (field["retryRemoteLocalities"].present())
    out.remote_localities = field["retryRemoteLocalities"].boolean();
  context.notes.beyond(field["retryIgnorePreviousHosts"],
                       "a retry always prefers another host; the rule works without it");
  constexpr std::array<std::string_view, 20> kTokens = {"5xx",
                                                        "gateway-error",
                                                        "reset",
                                                        "reset-before-request",
                                                        "connect-failure",
                                                        "envoy-ratelimited",
                                                        "retriable-4xx",
                                                        "refused-stream",
                                                        "retriable-status-codes",
                                                        "retriable-headers",
                                                        "http3-post-connect-failure",
                                                        "cancelled",
                                                        "deadline-exceeded",
                                                        "internal",
                                                        "resource-exhausted",
                                                        "unavailable",
                                                        "x-envoy-retriable-status-codes",
                                                        "x-envoy-retriable-header-names",
                                                        "unknown",
                                                        "aborted"};
  std::string rest = field["retryOn"].string();
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string token = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    token.erase(0, token.find_first_not_of(' '));
    token.erase(token.find_last_not_of(' ') + 1);
    if (token.size() == 3 && token.find_first_not_of("0123456789") == std::string::npos) {
      out.status_codes.push_back(static_cast<std::uint32_t>(std::stoul(token)));
    } else if (std::find(kTokens.begin(), kTokens.end(), token) == kTokens.end()) {
      field["retryOn"].refuse("\"" + token + "\" is no condition to retry on");
    } else if (token != "retriable-status-codes") {  // said by the codes themselves
      out.on.push_back(token);
    }
  }
  std::sort(out.status_codes.begin(), out.status_codes.end());
  if (out.attempts > 0 && !field["retryOn"].present())
    out.on = {"connect-failure", "refused-stream", "unavailable", "cancelled"};
  return out;
}

std::optional<model::Cors> cors(const Field& field, RouteContext& context) {
  if (!field.present()) return std::nullopt;
  field.only({"allowOrigin", "allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders",
              "maxAge", "allowCredentials", "unmatchedPreflights"});
  model::Cors out;
  context.notes.warn(field["allowOrigin"], "deprecated: use allowOrigins");
  for (const std::string& text : field["allowOrigin"].strings())
    out.origins.push_back({.kind = TextMatch::Kind::kExact, .value = text});
  for (const Field& one : field["allowOrigins"].list())
    out.origins.push_back(text_match(one, false));
  out.methods = field["allowMethods"].strings();
  out.headers = field["allowHeaders"].strings();
  out.expose = field["exposeHeaders"].strings();
  if (field["allowCredentials"].present()) out.credentials = field["allowCredentials"].boolean();
  if (const auto age = read::duration(field["maxAge"]))
    out.max_age = std::chrono::duration_cast<std::chrono::seconds>(*age);
  const std::string unmatched = field["unmatchedPreflights"].string("UNSPECIFIED");
  if (unmatched == "IGNORE") {
    out.forward_unmatched_preflights = false;
  } else if (unmatched != "FORWARD" && unmatched != "UNSPECIFIED") {
    field["unmatchedPreflights"].refuse("must be FORWARD or IGNORE");
  }
  return out;
}

model::HttpRule http_rule(const Field& field, RouteContext& context) {
  field.only({"name", "match", "route", "redirect", "directResponse", "delegate", "rewrite",
              "timeout", "retries", "fault", "mirror", "mirrors", "mirrorPercentage",
              "mirrorPercent", "mirror_percent", "corsPolicy", "headers"});
  HttpRule out{.name = field["name"].string()};
  for (const Field& one : field["match"].list()) out.matches.push_back(request_match(one, context));
  const Field route = field["route"], to = field["redirect"], direct = field["directResponse"],
              delegate = field["delegate"];
  delegate.only({"name", "namespace"});
  const int actions = int{route.present()} + int{to.present()} + int{direct.present()};
  if (actions > 1) field.refuse("must have only one of route, redirect, directResponse");
  if (actions == 0 && !delegate.present())
    field.refuse("must have route, redirect or directResponse");
  if (actions != 0 && delegate.present())
    delegate.refuse("cannot be set together with route, redirect or directResponse");
  if (field["fault"].present() && (to.present() || direct.present()))
    field["fault"].refuse("cannot be set together with redirect or directResponse");
  if (field["rewrite"].present() && !route.present() && !delegate.present())
    field["rewrite"].refuse("needs route");
  if (route.present() && route.list().empty()) route.refuse("must have a destination");
  if (to.present()) out.redirect = redirect(to, context);
  if (direct.present()) out.direct = direct_response(direct);
  if (field["rewrite"].present()) out.rewrite = rewrite(field["rewrite"], out.matches);
  out.backends = destinations(route, context, true);
  mirrors(field, context, out.mirrors);
  bool whole =
      headers(field["headers"], context, out.request, out.response, &out.rewrite.authority);
  for (const Field& one : route.list()) {
    if (one["headers"].present() && out.backends.size() == 1) {
      Backend& only = out.backends[0];
      whole =
          headers(one["headers"], context, only.request, only.response, &out.rewrite.authority) &&
          whole;
    }
  }
  for (std::size_t i = 0; out.backends.size() > 1 && i < out.backends.size(); ++i) {
    whole = headers(route.list()[i]["headers"], context, out.backends[i].request,
                    out.backends[i].response, nullptr) &&
            whole;
  }
  out.timeout = read::duration(field["timeout"]);
  if (out.timeout == model::Milliseconds(0)) out.timeout.reset();
  out.retry = retries(field["retries"], context);
  out.fault = fault(field["fault"], context);
  out.cors = cors(field["corsPolicy"], context);
  context.notes.beyond(delegate, "delegation to another VirtualService; the rule answers 500");
  if (delegate.present() || !whole) fail_closed(out);
  return out;
}

}  // namespace weft::controlplane::istio
