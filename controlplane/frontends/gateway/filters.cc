#include <algorithm>
#include <set>

#include "controlplane/frontends/gateway/route_parts.h"

namespace weft::controlplane::gateway_api {
namespace {

using model::Rewrite;
using model::TextMatch;
using source::Field;

void header_change(const Field& field, RouteContext& context, model::HeaderChange& out,
                   std::string* authority) {
  field.only({"set", "add", "remove"});
  std::set<std::string> seen;
  for (const char* kind : {"set", "add"}) {
    auto& list = std::string_view(kind) == "set" ? out.set : out.add;
    for (const Field& one : field[kind].list()) {
      one.only({"name", "value"});
      const std::string name = read::lower(one["name"].string());
      if (!read::is_header_name(name)) one["name"].refuse("must be a header's name");
      if (!one["value"].present()) one["value"].refuse("is required");
      if (!seen.insert(name).second) one["name"].refuse("is there twice");
      if (name == "host" && authority != nullptr && std::string_view(kind) == "set") {
        *authority = one["value"].string();
      } else if (name == "host") {
        context.notes.warn(one["name"], "ignored: this header can only be set");
      } else {
        list.emplace_back(name, one["value"].string());
      }
    }
    std::sort(list.begin(), list.end());
  }
  for (const Field& one : field["remove"].list()) {
    const std::string name = read::lower(one.string());
    if (!read::is_header_name(name)) one.refuse("must be a header's name");
    if (!seen.insert(name).second) one.refuse("is there twice");
    if (name == "host") {
      context.notes.warn(one, "ignored: this header can only be set");
    } else {
      out.remove.push_back(name);
    }
  }
  std::sort(out.remove.begin(), out.remove.end());
}

Rewrite path_modifier(const Field& field) {
  field.only({"type", "replaceFullPath", "replacePrefixMatch"});
  if (!field.present()) return {};
  const std::string type = field["type"].string();
  const bool full = type == "ReplaceFullPath";
  if (!full && type != "ReplacePrefixMatch")
    field["type"].refuse("must be ReplaceFullPath or ReplacePrefixMatch");
  const char* mine = full ? "replaceFullPath" : "replacePrefixMatch";
  const char* other = full ? "replacePrefixMatch" : "replaceFullPath";
  if (!field[mine].present()) field[mine].refuse("is required by the type");
  if (field[other].present()) field[other].refuse("is not of this type");
  const std::string path = field[mine].string();
  if (!path.empty() && !path.starts_with('/')) field[mine].refuse("must start with /");
  return {.path_kind = full ? Rewrite::Kind::kFull : Rewrite::Kind::kPrefix, .path = path};
}

std::string hostname(const Field& field) {
  const std::string name = field.string();
  if (field.present() && !read::why_no_host(name, false).empty())
    field.refuse("must be a DNS name without wildcard");
  return name;
}

model::Redirect redirect(const Field& field) {
  field.only({"scheme", "hostname", "path", "port", "statusCode"});
  model::Redirect out{.code = 302, .scheme = field["scheme"].string()};
  if (field["scheme"].present() && out.scheme != "http" && out.scheme != "https")
    field["scheme"].refuse("must be http or https");
  out.authority = hostname(field["hostname"]);
  if (field["port"].present()) out.port = field["port"].port();
  using enum model::Redirect::Port;
  if (!out.port) out.port_from = out.scheme.empty() ? kOfListener : kOfScheme;
  const auto code = field["statusCode"].integer(300, 399, 302);
  if (code != 301 && code != 302 && code != 303 && code != 307 && code != 308)
    field["statusCode"].refuse("must be 301, 302, 303, 307 or 308");
  out.code = static_cast<std::uint32_t>(code);
  out.path = path_modifier(field["path"]);
  return out;
}

void mirror(const Field& field, RouteContext& context, std::vector<model::Mirror>& out) {
  field.only({"backendRef", "percent", "fraction"});
  if (!field["backendRef"].present()) field["backendRef"].refuse("is required");
  model::Mirror one{.to = backend_ref(field["backendRef"], context)};
  const Field percent = field["percent"], fraction = field["fraction"];
  fraction.only({"numerator", "denominator"});
  if (percent.present() && fraction.present())
    fraction.refuse("cannot be set together with percent");
  if (percent.present()) one.ppm = static_cast<std::uint32_t>(percent.integer(0, 100)) * 10'000;
  if (fraction.present()) {
    if (!fraction["numerator"].present()) fraction["numerator"].refuse("is required");
    const std::int64_t below = fraction["denominator"].integer(1, INT32_MAX, 100);
    const std::int64_t above = fraction["numerator"].integer(0, INT32_MAX);
    if (above > below) fraction.refuse("must be at most 1");
    one.ppm = static_cast<std::uint32_t>(above * 1'000'000 / below);
  }
  if (one.ppm > 0) out.push_back(std::move(one));
}

// "https://*.a.com": a wildcard stands for any labels.
TextMatch origin(const Field& field) {
  const std::string text = field.string();
  const std::size_t star = text.find('*');
  if (star == std::string::npos || text == "*")
    return {.kind = TextMatch::Kind::kExact, .value = text};
  std::string pattern;
  for (const char c : text) {
    if (c == '*') {
      pattern += ".+";
    } else if (std::string_view(".+?()[]{}|^$\\").find(c) != std::string_view::npos) {
      pattern.append("\\").append(1, c);
    } else {
      pattern += c;
    }
  }
  return {.kind = TextMatch::Kind::kRegexFull, .value = pattern};
}

model::Cors cors(const Field& field) {
  field.only({"allowOrigins", "allowCredentials", "allowMethods", "allowHeaders", "exposeHeaders",
              "maxAge"});
  model::Cors out;
  for (const Field& one : field["allowOrigins"].list()) out.origins.push_back(origin(one));
  out.methods = field["allowMethods"].strings();
  out.headers = field["allowHeaders"].strings();
  out.expose = field["exposeHeaders"].strings();
  if (field["allowCredentials"].present()) out.credentials = field["allowCredentials"].boolean();
  out.max_age = std::chrono::seconds(field["maxAge"].integer(1, INT32_MAX, 5));
  return out;
}

}  // namespace

Filters filters(const Field& list, RouteContext& context) {
  constexpr std::pair<std::string_view, const char*> kTypes[] = {
      {"RequestHeaderModifier", "requestHeaderModifier"},
      {"ResponseHeaderModifier", "responseHeaderModifier"},
      {"RequestMirror", "requestMirror"},
      {"RequestRedirect", "requestRedirect"},
      {"URLRewrite", "urlRewrite"},
      {"CORS", "cors"},
      {"ExternalAuth", "externalAuth"},
      {"ExtensionRef", "extensionRef"}};
  Filters out;
  std::set<std::string> seen;
  for (const Field& one : list.list()) {
    one.only({"type", "requestHeaderModifier", "responseHeaderModifier", "requestMirror",
              "requestRedirect", "urlRewrite", "cors", "externalAuth", "extensionRef"});
    const std::string type = one["type"].string();
    const auto* const found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                           [&](const auto& known) { return known.first == type; });
    if (found == std::end(kTypes)) {
      one["type"].refuse("must be a filter type like RequestHeaderModifier");
      continue;
    }
    for (const auto& [name, member] : kTypes) {
      if (name != type && one[member].present()) one[member].refuse("is not of type " + type);
    }
    const Field body = one[found->second];
    if (!body.present()) body.refuse("is required by the type");
    if (!seen.insert(type).second && type != "RequestMirror" && type != "ExtensionRef")
      one["type"].refuse("is there twice");
    if (context.grpc && (type == "RequestRedirect" || type == "URLRewrite"))
      one["type"].refuse("is no filter of a GRPCRoute");
    if (type == "RequestHeaderModifier") {
      header_change(body, context, out.request, &out.rewrite.authority);
    } else if (type == "ResponseHeaderModifier") {
      header_change(body, context, out.response, nullptr);
    } else if (type == "RequestMirror") {
      mirror(body, context, out.mirrors);
    } else if (type == "RequestRedirect") {
      out.redirect = redirect(body);
    } else if (type == "URLRewrite") {
      body.only({"hostname", "path"});
      Rewrite rewrite = path_modifier(body["path"]);
      rewrite.authority =
          body["hostname"].present() ? hostname(body["hostname"]) : out.rewrite.authority;
      out.rewrite = std::move(rewrite);
      out.rewrites = true;
    } else if (type == "CORS") {
      out.cors = cors(body);
    } else {
      context.notes.beyond(one, type + "; the requests answer 500");
      out.whole = false;
    }
  }
  if (out.redirect && out.rewrites)
    list.refuse("RequestRedirect and URLRewrite exclude each other");
  return out;
}

}  // namespace weft::controlplane::gateway_api
