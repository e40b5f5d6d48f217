#include "controlplane/frontends/istio/service_entry.h"

#include <algorithm>
#include <array>
#include <set>

#include "controlplane/frontends/istio/common.h"
#include "source/fields.h"

namespace weft::controlplane::istio {
namespace {

using model::ExternalService;
using source::Field;
using Resolution = ExternalService::Resolution;

Resolution resolution(const Field& field) {
  const std::string text = field.string("NONE");
  if (text == "STATIC") return Resolution::kStatic;
  if (text == "DNS") return Resolution::kDns;
  if (text == "DNS_ROUND_ROBIN") return Resolution::kDnsRoundRobin;
  if (text == "DYNAMIC_DNS") return Resolution::kDynamicDns;
  if (text != "NONE") field.refuse("must be NONE, STATIC, DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS");
  return Resolution::kNone;
}

model::ExternalPort port(const Field& field) {
  constexpr std::array<std::string_view, 8> kProtocols = {"HTTP", "HTTPS", "HTTP2", "GRPC",
                                                          "TCP",  "TLS",   "MONGO", "GRPC-WEB"};
  field.only({"number", "protocol", "name", "targetPort"});
  model::ExternalPort out{.name = field["name"].string(), .port = field["number"].port()};
  if (!field["number"].present()) field["number"].refuse("is required");
  if (out.name.empty()) field["name"].refuse("is required");
  out.target_port = field["targetPort"].port(out.port);
  out.protocol = field["protocol"].string("TCP");
  for (char& c : out.protocol) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  if (std::find(kProtocols.begin(), kProtocols.end(), out.protocol) == kProtocols.end())
    field["protocol"].refuse("must be HTTP, HTTPS, HTTP2, GRPC, TCP or TLS");
  if (out.protocol == "MONGO") out.protocol = "TCP";
  if (out.protocol == "GRPC-WEB") out.protocol = "HTTP";
  return out;
}

model::ExternalEndpoint endpoint(const Field& field, const ExternalService& service,
                                 read::Notes& notes) {
  field.only({"address", "ports", "labels", "network", "locality", "weight", "serviceAccount"});
  model::ExternalEndpoint out{.address = field["address"].string(),
                              .labels = field["labels"].string_map(),
                              .network = field["network"].string(),
                              .locality = field["locality"].string(),
                              .service_account = field["serviceAccount"].string()};
  const bool is_ip = IpAddress::parse(out.address).has_value();
  if (out.address.starts_with("unix://")) {
    field["address"].refuse("a Unix socket is not there in a shared proxy");
  } else if (service.resolution == Resolution::kStatic && !is_ip) {
    field["address"].refuse("must be an IP address for resolution STATIC");
  } else if (!is_ip && !read::why_no_host(out.address, false).empty()) {
    field["address"].refuse("must be an IP address or a DNS name");
  }
  for (const std::string& name : field["ports"].keys()) {
    out.ports[name] = field["ports"][name].port();
    const bool known = std::any_of(service.ports.begin(), service.ports.end(),
                                   [&](const auto& one) { return one.name == name; });
    if (!known) field["ports"][name].refuse("is no port of spec.ports");
  }
  for (const char* name : {"network", "locality", "serviceAccount"})
    notes.beyond(field[name], "the endpoint is reached by its address alone");
  if (field["weight"].present())
    out.weight = static_cast<std::uint32_t>(field["weight"].integer(0, INT32_MAX));
  return out;
}

void check(const Field& spec, const ExternalService& out) {
  const bool by_name =
      out.resolution == Resolution::kDns || out.resolution == Resolution::kDnsRoundRobin;
  const bool wildcard = std::any_of(out.hosts.begin(), out.hosts.end(),
                                    [](const std::string& host) { return host.starts_with("*"); });
  if (out.resolution == Resolution::kNone && !out.endpoints.empty())
    spec["endpoints"].refuse("cannot be set for resolution NONE");
  if (out.resolution == Resolution::kDnsRoundRobin && out.endpoints.size() > 1)
    spec["endpoints"].refuse("must be at most one for DNS_ROUND_ROBIN");
  if (!out.selector.empty() && !out.endpoints.empty())
    spec["workloadSelector"].refuse("cannot be set together with endpoints");
  if (by_name && wildcard && out.endpoints.empty())
    spec["hosts"].refuse("a wildcard cannot be resolved by DNS without endpoints");
  if (out.resolution == Resolution::kDynamicDns) {
    if (!wildcard) spec["resolution"].refuse("DYNAMIC_DNS needs a wildcard host");
    if (!out.endpoints.empty()) spec["endpoints"].refuse("cannot be set for DYNAMIC_DNS");
    for (const auto& port : out.ports) {
      if (port.protocol == "TCP") spec["ports"].refuse("DYNAMIC_DNS needs HTTP or TLS ports");
    }
  }
  for (const Field& field : spec["addresses"].list()) {
    const bool block = field.string().find('/') != std::string::npos;
    if (block && out.resolution != Resolution::kNone && out.resolution != Resolution::kStatic)
      field.refuse("a CIDR block is only for resolution NONE and STATIC");
  }
}

}  // namespace

Parsed<model::Decoded<ExternalService>> decode_service_entry(const source::Object& object,
                                                             std::string_view domain) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"hosts", "addresses", "ports", "location", "resolution", "endpoints",
             "workloadSelector", "exportTo", "subjectAltNames"});
  read::Notes notes;
  ExternalService out{.from = provenance(object), .ns = object.ns, .name = object.name};
  for (const Field& one : spec["hosts"].list()) {
    out.hosts.push_back(read::lower(one.string()));
    if (out.hosts.back() == "*") one.refuse("must be more than \"*\"");
    if (const std::string why = read::why_no_host(out.hosts.back(), true); !why.empty())
      one.refuse(why);
  }
  if (out.hosts.empty()) spec["hosts"].refuse("is required");
  for (const Field& one : spec["addresses"].list()) {
    const auto block = Cidr::parse(one.string());
    if (!block) one.refuse("must be an IP address or a CIDR block");
    if (block) out.addresses.push_back(*block);
  }
  std::set<std::uint16_t> numbers;
  std::set<std::string> names;
  for (const Field& one : spec["ports"].list()) {
    out.ports.push_back(port(one));
    if (!numbers.insert(out.ports.back().port).second) one["number"].refuse("is there twice");
    if (!names.insert(out.ports.back().name).second) one["name"].refuse("is there twice");
  }
  const std::string location = spec["location"].string("MESH_EXTERNAL");
  if (location != "MESH_EXTERNAL" && location != "MESH_INTERNAL")
    spec["location"].refuse("must be MESH_EXTERNAL or MESH_INTERNAL");
  out.in_mesh = location == "MESH_INTERNAL";
  out.resolution = resolution(spec["resolution"]);
  if (out.ports.empty() && out.resolution != Resolution::kNone) spec["ports"].refuse("is required");
  for (const Field& one : spec["endpoints"].list())
    out.endpoints.push_back(endpoint(one, out, notes));
  spec["workloadSelector"].only({"labels"});
  out.selector = spec["workloadSelector"]["labels"].string_map();
  out.export_to = export_to(spec["exportTo"]);
  out.subject_alt_names = spec["subjectAltNames"].strings();
  notes.beyond(spec["addresses"], "only routes to its hosts use the entry, not its addresses");
  notes.beyond(spec["workloadSelector"], "pods are no endpoints of it");
  notes.beyond(spec["subjectAltNames"], "the tls of a DestinationRule says whom to believe");
  if (out.in_mesh) notes.beyond(spec["location"], "its endpoints are reached as those outside");
  const bool everywhere = out.export_to.empty() || out.export_to == std::vector<std::string>{"*"};
  if (!everywhere) notes.beyond(spec["exportTo"], "every namespace's routes may use it");
  check(spec, out);
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::vector{std::move(out)}, std::move(notes));
}

}  // namespace weft::controlplane::istio
