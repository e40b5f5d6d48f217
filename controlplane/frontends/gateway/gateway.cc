#include "controlplane/frontends/gateway/gateway.h"

#include <array>
#include <set>
#include <tuple>

#include "controlplane/frontends/values.h"
#include "source/fields.h"

namespace weft::controlplane::gateway_api {
namespace {

using model::Listener;
using model::ServerTls;
using source::Field;

// False when the listener asks for something that must not be left out.
bool tls(const Field& field, const source::Object& object, read::Notes& notes, Listener& out) {
  constexpr std::string_view kMode = "gateway.istio.io/tls-terminate-mode";
  field.only({"mode", "certificateRefs", "options", "frontendValidation"});
  ServerTls value;
  const std::string mode = field["mode"].string("Terminate");
  if (mode == "Passthrough") {
    value.mode = ServerTls::Mode::kPassthrough;
  } else if (mode != "Terminate") {
    field["mode"].refuse("must be Terminate or Passthrough");
  }
  for (const Field& one : field["certificateRefs"].list()) {
    one.only({"group", "kind", "name", "namespace"});
    const std::string group = one["group"].string(), kind = one["kind"].string("Secret");
    if (one["name"].string().empty()) one["name"].refuse("is required");
    if (kind != "Secret" || (!group.empty() && group != "core"))
      notes.unsupported.push_back(one.path() + ": a certificate of kind " + kind);
    else
      value.secrets.push_back(one["namespace"].string(object.ns) + "/" + one["name"].string());
  }
  bool whole = true;
  for (const std::string& key : field["options"].keys()) {
    const Field option = field["options"][key];
    const bool same = key == kMode && option.string() == "SIMPLE";
    if (!same) notes.beyond(option, key == kMode ? "the listener is left out" : "the option");
    whole = whole && (same || key != kMode);
  }
  if (field["frontendValidation"].present()) {
    notes.beyond(field["frontendValidation"], "clients' certificates; the listener is left out");
    whole = false;
  }
  if (value.mode == ServerTls::Mode::kSimple && field["certificateRefs"].list().empty() &&
      field["options"].keys().empty())
    field["certificateRefs"].refuse("is required to terminate TLS");
  out.tls = std::move(value);
  return whole;
}

void allowed_routes(const Field& field, Listener& out) {
  field.only({"namespaces", "kinds"});
  const Field namespaces = field["namespaces"];
  namespaces.only({"from", "selector"});
  out.routes_from = namespaces["from"].string("Same");
  if (out.routes_from != "Same" && out.routes_from != "All" && out.routes_from != "Selector" &&
      out.routes_from != "None")
    namespaces["from"].refuse("must be Same, All, Selector or None");
  const Field selector = namespaces["selector"];
  selector.only({"matchLabels", "matchExpressions"});
  if (selector["matchExpressions"].present())
    selector["matchExpressions"].refuse("is not supported yet: use matchLabels");
  out.routes_selector = selector["matchLabels"].string_map();
  if (out.routes_from == "Selector" && out.routes_selector.empty())
    selector.refuse("is required by from: Selector");
  for (const Field& kind : field["kinds"].list()) {
    kind.only({"group", "kind"});
    const std::string group = kind["group"].string("gateway.networking.k8s.io");
    out.route_kinds.push_back(kind["kind"].string());
    if (out.route_kinds.back().empty()) kind["kind"].refuse("is required");
    if (group != "gateway.networking.k8s.io") out.route_kinds.back().append(".").append(group);
  }
}

// Absent when it cannot be served.
std::optional<Listener> listener(const Field& field, const source::Object& object,
                                 read::Notes& notes) {
  field.only({"name", "hostname", "port", "protocol", "tls", "allowedRoutes"});
  Listener out{.name = field["name"].string(),
               .port = field["port"].port(),
               .protocol = field["protocol"].string()};
  if (read::why_no_host(out.name, false) != "") field["name"].refuse("must be a name");
  if (!field["port"].present()) field["port"].refuse("is required");
  const std::string host = field["hostname"].string();
  if (!host.empty() && (host == "*" || !read::why_no_host(host, true).empty()))
    field["hostname"].refuse("must be a DNS name, or *. and one");
  out.hosts = {host.empty() ? "*" : read::lower(host)};
  allowed_routes(field["allowedRoutes"], out);
  const std::string& protocol = out.protocol;
  const bool secure = protocol == "HTTPS" || protocol == "TLS";
  if (secure && !field["tls"].present()) field["tls"].refuse("is required by the protocol");
  if (!secure && field["tls"].present()) field["tls"].refuse("is only for HTTPS and TLS");
  const bool whole = !secure || tls(field["tls"], object, notes, out);
  if (protocol == "HTTPS" && out.tls && out.tls->mode == ServerTls::Mode::kPassthrough)
    field["tls"]["mode"].refuse("must be Terminate for HTTPS");
  if (secure || protocol == "HTTP" || protocol == "TCP" || protocol == "HBONE")
    return whole ? std::optional(std::move(out)) : std::nullopt;
  if (protocol.empty()) field["protocol"].refuse("is required");
  notes.beyond(field["protocol"], "the protocol " + protocol + "; the listener is left out");
  return std::nullopt;
}

}  // namespace

Parsed<model::Decoded<model::Gateway>> decode_gateway(const source::Object& object) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"gatewayClassName", "listeners", "addresses", "infrastructure", "backendTLS", "tls",
             "allowedListeners", "defaultScope"});
  read::Notes notes;
  model::Gateway out{.from = read::provenance(object),
                     .ns = object.ns,
                     .name = object.name,
                     .gateway_api = true,
                     .class_name = spec["gatewayClassName"].string(),
                     .labels = object.labels,
                     .annotations = object.annotations};
  if (out.class_name.empty()) spec["gatewayClassName"].refuse("is required");
  if (out.class_name == "weft-waypoint" || out.class_name == "istio-waypoint")
    out.kind = model::Gateway::Kind::kWaypoint;
  if (const auto what = object.labels.find("istio.io/waypoint-for"); what != object.labels.end()) {
    out.waypoint_for = what->second;
    if (what->second != "service" && what->second != "workload" && what->second != "all" &&
        what->second != "none")
      reader.root()["metadata"]["labels"]["istio.io/waypoint-for"].refuse(
          "must be service, workload, all or none");
  }
  if (spec["listeners"].list().empty()) spec["listeners"].refuse("must have a listener");
  std::set<std::string> names;
  std::set<std::tuple<std::uint16_t, std::string, std::string>> places;
  for (const Field& field : spec["listeners"].list()) {
    if (!names.insert(field["name"].string()).second) field["name"].refuse("is there twice");
    if (!places
             .insert({field["port"].port(), field["protocol"].string(),
                      read::lower(field["hostname"].string())})
             .second)
      field.refuse("another listener has the same port, protocol and hostname");
    if (auto one = listener(field, object, notes)) out.listeners.push_back(std::move(*one));
  }
  for (const Field& field : spec["addresses"].list()) {
    field.only({"type", "value"});
    out.addresses.push_back(field["value"].string());
  }
  notes.beyond(spec["addresses"], "the gateway has the addresses that its Service is given");
  spec["infrastructure"].only({"labels", "annotations", "parametersRef"});
  for (const char* name : {"labels", "annotations", "parametersRef"})
    notes.beyond(spec["infrastructure"][name], "shaping what is made for a gateway");
  for (const char* name : {"backendTLS", "tls", "allowedListeners", "defaultScope"})
    notes.beyond(spec[name], "the field");
  if (spec["tls"].present()) out.listeners.clear();  // it may ask for clients' certificates
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::vector{std::move(out)}, std::move(notes));
}

Parsed<model::Decoded<model::GatewayClass>> decode_gateway_class(const source::Object& object) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"controllerName", "parametersRef", "description"});
  read::Notes notes;
  model::GatewayClass out{.from = read::provenance(object),
                          .name = object.name,
                          .controller = spec["controllerName"].string()};
  if (out.controller.find('/') == std::string::npos)
    spec["controllerName"].refuse("must be DOMAIN/PATH");
  notes.beyond(spec["parametersRef"], "parameters of a class");
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::vector{std::move(out)}, std::move(notes));
}

Parsed<model::Decoded<model::ReferenceGrant>> decode_reference_grant(const source::Object& object) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"from", "to"});
  model::ReferenceGrant out{
      .provenance = read::provenance(object), .ns = object.ns, .name = object.name};
  for (const Field& field : spec["from"].list()) {
    field.only({"group", "kind", "namespace"});
    out.from.push_back(
        {field["group"].string(), field["kind"].string(), field["namespace"].string()});
    if (out.from.back().kind.empty()) field["kind"].refuse("is required");
    if (out.from.back().ns.empty()) field["namespace"].refuse("is required");
  }
  for (const Field& field : spec["to"].list()) {
    field.only({"group", "kind", "name"});
    out.to.push_back({field["group"].string(), field["kind"].string(), field["name"].string()});
    if (out.to.back().group == "core") out.to.back().group.clear();
    if (out.to.back().kind.empty()) field["kind"].refuse("is required");
  }
  if (out.from.empty()) spec["from"].refuse("is required");
  if (out.to.empty()) spec["to"].refuse("is required");
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::vector{std::move(out)}, {});
}

}  // namespace weft::controlplane::gateway_api
