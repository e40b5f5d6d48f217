#include "controlplane/frontends/istio/authorization_rules.h"

#include "controlplane/frontends/values.h"

namespace weft::controlplane::istio {
namespace {

using model::TextMatch;
using model::Values;
using source::Field;

enum class How : std::uint8_t { kText, kHost, kPath, kPrincipal, kAccount, kPort };

// "*" presence, "*x" suffix, "x*" prefix, else exact.
TextMatch pattern(std::string_view text) {
  using enum TextMatch::Kind;
  if (text == "*") return {.kind = kPresent};
  if (text.starts_with('*')) return {.kind = kSuffix, .value = std::string(text.substr(1))};
  if (text.ends_with('*'))
    return {.kind = kPrefix, .value = std::string(text.substr(0, text.size() - 1))};
  return {.kind = kExact, .value = std::string(text)};
}

// "/a/{*}/b/{**}": whole segments; {**} at most once, and nothing after it but text.
TextMatch path_template(const Field& field, const std::string& text) {
  bool good = text.starts_with('/') && text.find("//") == std::string::npos;
  std::size_t rest = 0;
  for (std::size_t at = 1; good && at <= text.size();) {
    std::size_t end = text.find('/', at);
    if (end == std::string::npos) end = text.size();
    const std::string segment = text.substr(at, end - at);
    if (segment == "{**}") {
      ++rest;
    } else if (segment == "{*}") {
      good = rest == 0;
    } else {
      good = segment.find_first_of("{}*") == std::string::npos;
    }
    at = end + 1;
  }
  if (!good || rest > 1)
    field.refuse(
        "a path with {*} or {**} must have each alone in its segment, {**} last and once, "
        "and no other wildcard");
  return {.kind = TextMatch::Kind::kTemplate, .value = text};
}

TextMatch text_match(const Field& field, How how, const std::string& ns) {
  std::string text = field.string();
  if (text.empty()) field.refuse("must not be empty");
  if (how == How::kPath && text.find_first_of("{}") != std::string::npos)
    return path_template(field, text);
  if (how == How::kPrincipal && text.starts_with("spiffe://")) text.erase(0, 9);
  if (how == How::kAccount)
    return {.value = text.find('/') == std::string::npos ? ns + "/" + text : text};
  if (how == How::kPort) return {.value = std::to_string(field.port_text())};
  TextMatch match = pattern(text);
  match.ignore_case = how == How::kHost;
  return match;
}

Values values(const Field& any_of, const Field& none_of, How how, const std::string& ns) {
  Values out;
  for (const Field& one : any_of.list()) out.any_of.push_back(text_match(one, how, ns));
  for (const Field& one : none_of.list()) out.none_of.push_back(text_match(one, how, ns));
  return out;
}

std::vector<Cidr> blocks(const Field& list) {
  std::vector<Cidr> out;
  for (const Field& one : list.list()) {
    const auto block = Cidr::parse(one.string());
    if (!block) one.refuse("must be an IP address or a CIDR block");
    if (block) out.push_back(*block);
  }
  return out;
}

std::vector<std::uint16_t> ports(const Field& list) {
  std::vector<std::uint16_t> out;
  for (const Field& one : list.list()) out.push_back(one.port_text());
  return out;
}

model::AuthzSource source(const Field& field, const std::string& ns) {
  auto read = [&](const char* any_of, const char* none_of, How how = How::kText) {
    return values(field[any_of], field[none_of], how, ns);
  };
  model::AuthzSource out;
  out.principals = read("principals", "notPrincipals", How::kPrincipal);
  out.namespaces = read("namespaces", "notNamespaces");
  out.service_accounts = read("serviceAccounts", "notServiceAccounts", How::kAccount);
  out.request_principals = read("requestPrincipals", "notRequestPrincipals");
  out.ip_blocks = {blocks(field["ipBlocks"]), blocks(field["notIpBlocks"])};
  out.remote_ip_blocks = {blocks(field["remoteIpBlocks"]), blocks(field["notRemoteIpBlocks"])};
  return out;
}

model::AuthzOperation operation(const Field& field, const std::string& ns) {
  auto read = [&](const char* any_of, const char* none_of, How how = How::kText) {
    return values(field[any_of], field[none_of], how, ns);
  };
  model::AuthzOperation out;
  out.hosts = read("hosts", "notHosts", How::kHost);
  out.methods = read("methods", "notMethods");
  out.paths = read("paths", "notPaths", How::kPath);
  out.ports = ports(field["ports"]);
  out.not_ports = ports(field["notPorts"]);
  return out;
}

// "NAME[a][b]" → at least one name, none empty.
bool has_names(std::string_view key, std::size_t most) {
  std::size_t count = 0;
  while (!key.empty()) {
    const std::size_t end = key.find(']');
    if (!key.starts_with('[') || end == std::string_view::npos || end == 1) return false;
    if (key.substr(1, end - 1).find('[') != std::string_view::npos) return false;
    key.remove_prefix(end + 1);
    ++count;
  }
  return count >= 1 && count <= most;
}

model::AuthzCondition condition(const Field& field, const std::string& ns) {
  constexpr std::string_view kHeaders = "request.headers", kClaims = "request.auth.claims";
  model::AuthzCondition out{.key = field["key"].string()};
  const Field any_of = field["values"], none_of = field["notValues"];
  const std::string& key = out.key;
  if (key == "source.ip" || key == "remote.ip" || key == "destination.ip") {
    out.addresses = {blocks(any_of), blocks(none_of)};
    return out;
  }
  How how = How::kText;
  if (key == "source.principal") how = How::kPrincipal;
  if (key == "source.serviceAccount") how = How::kAccount;
  if (key == "destination.port") how = How::kPort;
  out.values = values(any_of, none_of, how, ns);
  if (key.starts_with(kHeaders)) {
    const std::string_view name = std::string_view(key).substr(kHeaders.size());
    if (!has_names(name, 1) ||
        (name[1] != ':' && !read::is_header_name(name.substr(1, name.size() - 2))))
      field["key"].refuse("must be request.headers[NAME]");
  } else if (key.starts_with(kClaims) &&
             !has_names(std::string_view(key).substr(kClaims.size()), 16)) {
    field["key"].refuse("must be request.auth.claims[NAME], or [NAME][NAME] for a nested claim");
  } else if (key.starts_with("experimental.")) {
    field["key"].refuse("is not supported");
  }
  return out;
}

}  // namespace

std::vector<model::AuthzRule> authz_rules(const Field& field, const std::string& ns) {
  std::vector<model::AuthzRule> out;
  for (const Field& rule : field.list()) {
    model::AuthzRule one;
    for (const Field& from : rule["from"].list()) one.from.push_back(source(from["source"], ns));
    for (const Field& to : rule["to"].list()) one.to.push_back(operation(to["operation"], ns));
    for (const Field& when : rule["when"].list()) one.when.push_back(condition(when, ns));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace weft::controlplane::istio
