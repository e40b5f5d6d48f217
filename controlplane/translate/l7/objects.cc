#include "controlplane/translate/l7/objects.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "controlplane/frontends/gateway/gateway.h"
#include "controlplane/frontends/gateway/grpc_route.h"
#include "controlplane/frontends/gateway/http_route.h"
#include "controlplane/frontends/istio/destination_rule.h"
#include "controlplane/frontends/istio/gateway.h"
#include "controlplane/frontends/istio/request_authentication.h"
#include "controlplane/frontends/istio/service_entry.h"
#include "controlplane/frontends/istio/telemetry.h"
#include "controlplane/frontends/istio/virtual_service.h"
#include "controlplane/translate/l7/certificate.h"

namespace weft::controlplane::translate::l7 {
namespace {

using source::Object;
using source::ObjectKey;

// Keeps an object; false when only its status is another.
template <class X>
bool keep(ByKey<X>& map, const Object& object, Parsed<model::Decoded<X>> decoded) {
  if (!decoded) return false;  // refused at admission: what it said before stays
  Known<X> known{.key = object.key(),
                 .origin = object.origin,
                 .created = object.creation_timestamp,
                 .generation = generation_of(object),
                 .hash = content_hash(object),
                 .decoded = std::move(*decoded)};
  map.insert_or_assign(object.key(), std::move(known));
  return true;
}

template <class X>
bool same(const ByKey<X>& map, const Object& object) {
  const auto found = map.find(object.key());
  return found != map.end() && found->second.hash == content_hash(object) &&
         found->second.generation == generation_of(object);
}

bool is_wildcard(const std::string& host) { return host.starts_with('*'); }

void note_host(const std::string& host, Touched& out) {
  if (is_wildcard(host)) {
    out.everything = true;
  } else {
    out.hosts.insert(host);
  }
}

void note(const model::RouteTable& table, Touched& out) {
  if (!table.gateway.empty()) out.gateways = true;
  if (!table.service.hostname.empty()) note_host(table.service.hostname, out);
}
void note(const model::Destination& rule, Touched& out) { note_host(rule.host, out); }
void note(const model::Gateway& gateway, Touched& out) {
  out.gateways = true;
  if (gateway.kind == model::Gateway::Kind::kWaypoint) out.everything = true;
}
void note(const model::GatewayClass&, Touched& out) { out.gateways = true; }
void note(const model::ReferenceGrant&, Touched& out) { out.gateways = true; }
void note(const model::RequestAuthn& authn, Touched& out) { out.namespaces.insert(authn.ns); }
void note(const model::ExternalService& external, Touched& out) {
  out.gateways = true;
  for (const std::string& host : external.hosts) note_host(host, out);
}
void note(const model::Telemetry& telemetry, Touched& out) { out.namespaces.insert(telemetry.ns); }

template <class X>
void note_all(const ByKey<X>& map, const ObjectKey& key, Touched& out) {
  const auto found = map.find(key);
  if (found == map.end()) return;
  for (const X& one : found->second.decoded.values) note(one, out);
}

template <class Index>
void forget(Index& index, const ObjectKey& key) {
  for (auto entry = index.begin(); entry != index.end();) {
    entry->second.erase(key);
    entry = entry->second.empty() ? index.erase(entry) : std::next(entry);
  }
}

const std::string& host_of(const model::RouteTable& table) { return table.service.hostname; }
const std::string& host_of(const model::Destination& rule) { return rule.host; }

template <class Index, class X>
void remember(Index& index, const ByKey<X>& map, const ObjectKey& key) {
  const auto found = map.find(key);
  if (found == map.end()) return;
  for (const X& one : found->second.decoded.values) {
    if (!host_of(one).empty()) index[host_of(one)][key].push_back(&one);
  }
}

template <class X, class Index>
std::vector<const X*> by_host(const Index& index, const std::string& host) {
  std::vector<const X*> out;
  auto add = [&](const std::string& pattern) {
    const auto found = index.find(pattern);
    if (found == index.end()) return;
    for (const auto& [key, values] : found->second)
      out.insert(out.end(), values.begin(), values.end());
  };
  add(host);
  for (std::size_t dot = host.find('.'); out.empty() && dot != std::string::npos;
       dot = host.find('.', dot + 1)) {
    add("*" + host.substr(dot));
  }
  if (out.empty()) add("*");
  return out;
}

std::string decode_base64(const std::string& text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (value < 0) continue;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    if ((count += 6) < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>((bits >> count) & 0xff));
  }
  return out;
}

}  // namespace

std::int64_t generation_of(const Object& object) {
  const auto metadata = object.body->find("metadata");
  if (metadata == object.body->end() || !metadata->is_object()) return 0;
  const auto found = metadata->find("generation");
  return found != metadata->end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

std::uint64_t content_hash(const Object& object) {
  std::string text = object.creation_timestamp;
  for (const char* part : {"spec", "data", "stringData"}) {
    const auto found = object.body->find(part);
    if (found != object.body->end()) text += found->dump();
  }
  for (const auto* labels : {&object.labels, &object.annotations}) {
    text += '\n';
    for (const auto& [key, value] : *labels) text += key + "=" + value + "\n";
  }
  return source::path_hash(text);
}

bool covers(const std::string& pattern, const std::string& host) {
  if (pattern == "*" || pattern == host) return true;
  return pattern.starts_with("*.") && host.size() >= pattern.size() &&
         host.ends_with(std::string_view(pattern).substr(1));
}

void Objects::put_secret(const Object& object, Touched& touched) {
  Certificate out;
  auto value = [&](const char* name) -> std::string {
    for (const char* part : {"stringData", "data"}) {
      const auto data = object.body->find(part);
      if (data == object.body->end() || !data->is_object()) continue;
      const auto found = data->find(name);
      if (found == data->end() || !found->is_string()) continue;
      const auto text = found->template get<std::string>();
      return part[0] == 'd' ? decode_base64(text) : text;
    }
    return "";
  };
  out.chain_pem = value("tls.crt").empty() ? value("cert") : value("tls.crt");
  out.key_pem = value("tls.key").empty() ? value("key") : value("tls.key");
  out.ca_pem = value("ca.crt").empty() ? value("cacert") : value("ca.crt");
  const std::string name = object.ns + "/" + object.name;
  const auto before = certificates_.find(name);
  const bool other = out.chain_pem.empty() && out.ca_pem.empty();
  if (other && before == certificates_.end()) return;
  std::string problem = why_no_certificate(out.chain_pem, out.key_pem, out.ca_pem);
  if (!problem.empty()) {
    out = before == certificates_.end() ? Certificate{} : before->second;
    out.problem = std::move(problem);
  }
  certificates_.insert_or_assign(name, std::move(out));
  touched.gateways = true;
  note_credential(object.name, touched);
}

// Services whose rules name the Secret, in whichever namespace their proxies are.
void Objects::note_credential(const std::string& name, Touched& touched) const {
  auto names = [&](const model::TrafficPolicy& policy) {
    if (!policy.tls || policy.tls->credential_name.empty()) return false;
    const std::string& wanted = policy.tls->credential_name;
    return name == wanted || name == wanted + "-cacert";
  };
  auto any = [&](const auto& rule) {
    return std::any_of(rule.ports.begin(), rule.ports.end(),
                       [&](const auto& one) { return names(one.second); });
  };
  for (const auto& [key, known] : destinations_) {
    for (const model::Destination& rule : known.decoded.values) {
      const bool of_subset = std::any_of(
          rule.subsets.begin(), rule.subsets.end(),
          [&](const model::Subset& one) { return (one.policy && names(*one.policy)) || any(one); });
      if (names(rule.policy) || any(rule) || of_subset) note_host(rule.host, touched);
    }
  }
}

Touched Objects::put(const Object& object, bool in_root) {
  const ObjectKey key = object.key();
  Touched out{.known = true};
  auto take = [&](auto& map, auto decode) {
    if (same(map, object)) {
      map.at(key).origin = object.origin;
      return false;
    }
    note_all(map, key, out);
    return keep(map, object, decode());
  };
  if (key.kind == "VirtualService.networking.istio.io" ||
      key.kind == "HTTPRoute.gateway.networking.k8s.io" ||
      key.kind == "GRPCRoute.gateway.networking.k8s.io") {
    const bool moved = take(routes_, [&] {
      return key.kind.starts_with("V")   ? istio::decode_virtual_service(object, domain_)
             : key.kind.starts_with("H") ? gateway_api::decode_http_route(object, domain_)
                                         : gateway_api::decode_grpc_route(object, domain_);
    });
    if (moved) {
      forget(tables_by_host_, key);
      remember(tables_by_host_, routes_, key);
      note_all(routes_, key, out);
    }
    return out;
  }
  if (key.kind == "DestinationRule.networking.istio.io") {
    const bool moved =
        take(destinations_, [&] { return istio::decode_destination_rule(object, domain_); });
    if (moved) {
      forget(destinations_by_host_, key);
      remember(destinations_by_host_, destinations_, key);
      note_all(destinations_, key, out);
    }
    return out;
  }
  bool moved = false;
  auto finish = [&](auto& map) {
    if (moved) note_all(map, key, out);
    if (in_root && !out.namespaces.empty()) out.everything = true;
    return out;
  };
  if (key.kind == "Gateway.gateway.networking.k8s.io") {
    moved = take(gateways_, [&] { return gateway_api::decode_gateway(object); });
    return finish(gateways_);
  }
  if (key.kind == "Gateway.networking.istio.io") {
    moved = take(gateways_, [&] { return istio::decode_gateway(object, domain_); });
    return finish(gateways_);
  }
  if (key.kind == "GatewayClass.gateway.networking.k8s.io") {
    moved = take(classes_, [&] { return gateway_api::decode_gateway_class(object); });
    return finish(classes_);
  }
  if (key.kind == "ReferenceGrant.gateway.networking.k8s.io") {
    moved = take(grants_, [&] { return gateway_api::decode_reference_grant(object); });
    return finish(grants_);
  }
  if (key.kind == "RequestAuthentication.security.istio.io") {
    moved = take(authns_, [&] { return istio::decode_request_authentication(object, domain_); });
    return finish(authns_);
  }
  if (key.kind == "ServiceEntry.networking.istio.io") {
    moved = take(externals_, [&] { return istio::decode_service_entry(object, domain_); });
    return finish(externals_);
  }
  if (key.kind == "Telemetry.telemetry.istio.io") {
    moved = take(telemetry_, [&] { return istio::decode_telemetry(object, domain_); });
    return finish(telemetry_);
  }
  if (key.kind == "Secret") {
    put_secret(object, out);
    return out;
  }
  return {};
}

Touched Objects::erase(const ObjectKey& key, bool in_root) {
  Touched out{.known = true};
  auto drop = [&](auto& map) {
    note_all(map, key, out);
    return map.erase(key) != 0;
  };
  forget(tables_by_host_, key);
  forget(destinations_by_host_, key);
  const bool any = drop(routes_) || drop(destinations_) || drop(gateways_) || drop(classes_) ||
                   drop(grants_) || drop(authns_) || drop(externals_) || drop(telemetry_);
  if (key.kind == "Secret") {
    out.gateways = certificates_.erase(key.ns + "/" + key.name) != 0;
    if (out.gateways) note_credential(key.name, out);
  }
  if (in_root && !out.namespaces.empty()) out.everything = true;
  out.known = any || out.gateways;
  return out;
}

std::vector<const model::RouteTable*> Objects::tables_for(const std::string& host) const {
  return by_host<model::RouteTable>(tables_by_host_, host);
}

std::vector<const model::Destination*> Objects::destinations_for(const std::string& host) const {
  return by_host<model::Destination>(destinations_by_host_, host);
}

}  // namespace weft::controlplane::translate::l7
