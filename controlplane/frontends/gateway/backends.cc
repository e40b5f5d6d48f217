#include <algorithm>
#include <cctype>

#include "controlplane/frontends/gateway/route_parts.h"

namespace weft::controlplane::gateway_api {

using model::Backend;
using model::NamedMatch;
using model::TextMatch;
using source::Field;

Backend backend_ref(const Field& field, RouteContext& context) {
  const std::string group = field["group"].string(), kind = field["kind"].string("Service"),
                    name = field["name"].string();
  const std::string ns = field["namespace"].string(std::string(context.ns));
  if (name.empty()) field["name"].refuse("is required");
  const bool service = kind == "Service" && (group.empty() || group == "core");
  if (service && !field["port"].present()) field["port"].refuse("is required for a Service");
  Backend out{.service = read::service_named(name, ns, context.domain)};
  if (field["port"].present()) out.service.port = field["port"].port();
  if (service) return out;
  if (kind == "Hostname" && group == "networking.istio.io") {
    out.service = read::service(name, ns, context.domain);
    out.service.port = field["port"].port();
    return out;
  }
  out.service = {.ns = ns, .hostname = name, .port = out.service.port};
  out.broken = "InvalidKind: " + (group.empty() ? "" : group + "/") + kind + " " + name +
               " is nothing that requests can be sent to (use a Service)";
  return out;
}

std::vector<Backend> backends(const Field& list, RouteContext& context) {
  constexpr std::int64_t kWeightMax = 1'000'000;
  std::vector<Backend> out;
  std::uint64_t total = 0;
  for (const Field& one : list.list()) {
    one.only({"group", "kind", "name", "namespace", "port", "weight", "filters"});
    Backend backend = backend_ref(one, context);
    backend.weight = static_cast<std::uint64_t>(one["weight"].integer(0, kWeightMax, 1));
    total += backend.weight;
    const Filters own = filters(one["filters"], context);
    backend.request = own.request;
    backend.response = own.response;
    const bool simple = own.whole && !own.redirect && !own.rewrites && own.mirrors.empty() &&
                        !own.cors && own.rewrite.authority.empty();
    if (!simple && own.whole)
      context.notes.beyond(one["filters"],
                           "only header modifiers of one backend; its requests answer 500");
    if (!simple) backend.broken = "UnsupportedValue: a filter of this backend is not supported yet";
    out.push_back(std::move(backend));
  }
  if (total == 0) return {};  // nobody may answer: a 500
  if (out.size() == 1) out[0].weight = 1;
  return out;
}

std::vector<NamedMatch> named_matches(const Field& list, bool header) {
  std::vector<NamedMatch> out;
  for (const Field& one : list.list()) {
    one.only({"type", "name", "value"});
    NamedMatch match{.name = header ? read::lower(one["name"].string()) : one["name"].string()};
    if (!read::is_header_name(match.name)) one["name"].refuse("must be a name");
    const std::string type = one["type"].string("Exact");
    if (!one["value"].present()) one["value"].refuse("is required");
    if (type == "Exact") {
      match.text = {.kind = TextMatch::Kind::kExact, .value = one["value"].string()};
    } else if (type == "RegularExpression") {
      match.text = {.kind = TextMatch::Kind::kRegexFull, .value = read::regex(one["value"])};
    } else {
      one["type"].refuse("must be Exact or RegularExpression");
    }
    const bool again = std::any_of(out.begin(), out.end(), [&](const NamedMatch& earlier) {
      return earlier.name == match.name;
    });
    if (!again) out.push_back(std::move(match));
  }
  return out;
}

std::optional<model::Milliseconds> duration(const Field& field) {
  if (!field.present()) return std::nullopt;
  const std::string text = field.string();
  std::size_t parts = 0, digits = 0;
  bool good = !text.empty();
  for (std::size_t i = 0; good && i < text.size();) {
    digits = 0;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i, ++digits;
    const std::size_t unit = i;
    while (i < text.size() && text[i] >= 'a' && text[i] <= 'z') ++i;
    const std::string_view name(text.data() + unit, i - unit);
    good =
        digits >= 1 && digits <= 5 && (name == "h" || name == "m" || name == "s" || name == "ms");
    ++parts;
  }
  if (!good || parts > 4) {
    field.refuse("must be a duration like 10s, 500ms or 1m30s");
    return std::nullopt;
  }
  return read::duration(field);
}

namespace {

void timeouts(const Field& field, RouteContext& context, model::HttpRule& out) {
  constexpr model::Milliseconds kOff(0);
  const Field times = field["timeouts"], retry = field["retry"];
  times.only({"request", "backendRequest"});
  retry.only({"attempts", "backoff", "codes"});
  // Said aloud, so that it is what a VirtualService with attempts: 0 says.
  if (!out.backends.empty()) out.retry = model::Retry{};
  auto request = duration(times["request"]), each = duration(times["backendRequest"]);
  if (request == kOff) request.reset();
  if (each == kOff) each.reset();
  if (request && each && *each > *request)
    times["backendRequest"].refuse("must not be longer than request");
  if (retry.present()) {
    model::Retry value{.attempts =
                           static_cast<std::uint32_t>(retry["attempts"].integer(0, 1'000'000, 1))};
    value.on = {"connect-failure", "refused-stream", "reset"};
    for (const Field& code : retry["codes"].list())
      value.status_codes.push_back(static_cast<std::uint32_t>(code.integer(400, 599)));
    std::sort(value.status_codes.begin(), value.status_codes.end());
    if (const auto base = duration(retry["backoff"]); base && *base > kOff)
      value.backoff_base = *base;
    if (value.attempts == 0) value = {};
    out.retry = std::move(value);
  }
  // A single try has one limit: the shorter.
  if (out.retry && out.retry->attempts > 0) {
    out.retry->per_try = each;
  } else if (each) {
    request = request ? std::min(*request, *each) : each;
  }
  out.timeout = request;
}

}  // namespace

model::HttpRule rule_action(const Field& field, RouteContext& context) {
  model::HttpRule out{.name = field["name"].string()};
  Filters all = filters(field["filters"], context);
  const Field refs = field["backendRefs"];
  if (all.redirect && !refs.list().empty())
    refs.refuse("cannot be set together with a RequestRedirect filter");
  out.backends = backends(refs, context);
  out.redirect = std::move(all.redirect);
  out.rewrite = std::move(all.rewrite);
  out.request = std::move(all.request);
  out.response = std::move(all.response);
  out.mirrors = std::move(all.mirrors);
  out.cors = std::move(all.cors);
  timeouts(field, context, out);
  if (field["sessionPersistence"].present()) {
    context.notes.beyond(field["sessionPersistence"], "sticky sessions; the rule answers 500");
    all.whole = false;
  }
  if (!all.whole) {
    out.backends.clear();
    out.retry.reset();
    out.redirect.reset();
    out.mirrors.clear();
  }
  return out;
}

}  // namespace weft::controlplane::gateway_api
