#include "controlplane/frontends/istio/request_authentication.h"

#include <nlohmann/json.hpp>

#include "controlplane/frontends/istio/common.h"
#include "source/fields.h"
#include "source/nesting.h"

namespace weft::controlplane::istio {
namespace {

using source::Field;

constexpr std::size_t kNestingMax = 16;  // a key set has 4; what is in it is copied by recursion

void check_keys(const Field& field) {
  const std::string text = field.string();
  if (source::nesting(text) > kNestingMax)
    return field.refuse("is nested too deeply for a key set");
  const auto keys = nlohmann::json::parse(text, nullptr, false);
  if (!keys.is_object() || !keys.contains("keys") || !keys["keys"].is_array())
    field.refuse("must be a JSON Web Key Set: {\"keys\": […]}");
}

bool is_url(const std::string& text) {
  const bool scheme = text.starts_with("http://") || text.starts_with("https://");
  const std::size_t host = text.find("//") + 2;
  return scheme && text.size() > host && text[host] != '/' && text[host] != ':' &&
         text.find_first_of(" \t\r\n") == std::string::npos;
}

model::JwtRule rule(const Field& field, read::Notes& notes) {
  field.only({"issuer", "audiences", "jwksUri", "jwks_uri", "jwks", "fromHeaders", "fromParams",
              "fromCookies", "outputPayloadToHeader", "outputClaimToHeaders",
              "forwardOriginalToken", "timeout", "spaceDelimitedClaims"});
  model::JwtRule out{.issuer = field["issuer"].string(),
                     .audiences = field["audiences"].strings(),
                     .jwks = field["jwks"].string()};
  if (out.issuer.empty()) field["issuer"].refuse("is required");
  const Field uri = field[field["jwks_uri"].present() ? "jwks_uri" : "jwksUri"];
  notes.warn(field["jwks_uri"], "deprecated: use jwksUri");
  out.jwks_uri = uri.string();
  if (uri.present() && field["jwks"].present())
    field["jwks"].refuse("cannot be set together with jwksUri");
  if (uri.present() && !is_url(out.jwks_uri)) uri.refuse("must be an http or https URL");
  if (field["jwks"].present()) check_keys(field["jwks"]);
  for (const Field& one : field["fromHeaders"].list()) {
    one.only({"name", "prefix"});
    out.from_headers.push_back({read::lower(one["name"].string()), one["prefix"].string()});
    if (!read::is_header_name(out.from_headers.back().name))
      one["name"].refuse("must be a header's name");
  }
  out.from_params = field["fromParams"].strings();
  out.from_cookies = field["fromCookies"].strings();
  out.output_payload_header = read::lower(field["outputPayloadToHeader"].string());
  for (const Field& one : field["outputClaimToHeaders"].list()) {
    one.only({"header", "claim"});
    const std::string header = read::lower(one["header"].string()), claim = one["claim"].string();
    if (!read::is_header_name(header)) one["header"].refuse("must be a header's name");
    if (claim.empty()) one["claim"].refuse("is required");
    out.claim_to_headers.emplace_back(claim, header);
  }
  out.forward_original = field["forwardOriginalToken"].boolean();
  if (const auto timeout = read::duration(field["timeout"], model::Milliseconds(1)))
    out.timeout_ms = static_cast<std::uint32_t>(timeout->count());
  notes.beyond(field["timeout"], "keys are fetched within 5s");
  notes.beyond(field["spaceDelimitedClaims"], "only scope and permission are split");
  return out;
}

}  // namespace

Parsed<model::Decoded<model::RequestAuthn>> decode_request_authentication(
    const source::Object& object, std::string_view domain) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"selector", "targetRef", "targetRefs", "jwtRules"});
  read::Notes notes;
  model::RequestAuthn out{.from = provenance(object), .ns = object.ns, .name = object.name};
  out.selector = selector(spec["selector"]);
  out.targets = targets(spec, {"Service"}, notes);
  if (!out.targets.empty() && !out.selector.empty())
    spec["selector"].refuse("cannot be set together with targetRefs");
  for (const Field& one : spec["jwtRules"].list()) out.rules.push_back(rule(one, notes));
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::vector{std::move(out)}, std::move(notes));
}

}  // namespace weft::controlplane::istio
