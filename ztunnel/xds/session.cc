#include "ztunnel/xds/session.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "ztunnel/state/decode.h"

namespace weft::xds {
namespace {

constexpr std::size_t kNackTextMax = 16 * 1024;  // bytes; a thousand broken resources need no thousand sentences

std::string alias_of(const std::string& network, const IpAddress& ip) { return network + "/" + ip.str(); }

// The names under which an on-demand lookup may have asked for a decoded address.
std::vector<std::string> names_of(const state::DecodedAddress& address) {
  std::vector<std::string> out;
  if (const auto* workload = std::get_if<mesh::WorkloadPtr>(&address)) {
    out.push_back((*workload)->uid);
    for (const auto& ip : (*workload)->addresses) out.push_back(alias_of((*workload)->network, ip));
  } else {
    const auto& service = std::get<mesh::ServicePtr>(address);
    out.push_back(service->key());
    for (const auto& vip : service->addresses) {
      out.push_back(alias_of(vip.network, vip.ip) + (vip.length ? fmt::format("/{}", *vip.length) : ""));
    }
  }
  return out;
}

void fill_node(const NodeInfo& node, envoy::config::core::v3::Node& out) {
  out.set_id(node.id());
  auto& fields = *out.mutable_metadata()->mutable_fields();
  fields["NAME"].set_string_value(node.pod_name);
  fields["NAMESPACE"].set_string_value(node.pod_namespace);
  fields["INSTANCE_IPS"].set_string_value(node.instance_ip);
  fields["NODE_NAME"].set_string_value(node.node_name);
  for (const auto& [key, value] : node.metadata) fields[key].set_string_value(value);
  for (const auto& [key, text] : node.metadata_json) {
    google::protobuf::Value value;
    if (google::protobuf::util::JsonStringToMessage(text, &value).ok()) fields[key] = value;
  }
}

void append_nack(std::string& nack, std::string_view name, std::string_view text) {
  if (nack.size() > kNackTextMax) return;
  if (!nack.empty()) nack += "; ";
  nack += fmt::format("{}: {}", name, text);
}

}  // namespace

std::string NodeInfo::id() const {
  return fmt::format("ztunnel~{}~{}.{}~{}.svc.cluster.local", instance_ip, pod_name, pod_namespace, pod_namespace);
}

Session::Session(NodeInfo node, bool on_demand, bool keep_bytes)
    : node_(std::move(node)), on_demand_(on_demand), keep_bytes_(keep_bytes) {}
Session::~Session() = default;

std::vector<Request> Session::start() {
  std::vector<Request> out(2);
  Request &authorization = out[0], &address = out[1];
  authorization.set_type_url(std::string(state::kAuthorizationType));
  address.set_type_url(std::string(state::kAddressType));
  fill_node(node_, *authorization.mutable_node());
  fill_node(node_, *address.mutable_node());
  const auto fill = [](Request& request, const Type& type) {
    auto& versions = *request.mutable_initial_resource_versions();
    for (const auto& [name, held] : type.held) versions[name] = held.version;
    for (const auto& name : type.pending) versions[name] = "";
  };
  fill(authorization, authorization_);
  fill(address, address_);
  if (on_demand_) {  // delta xDS cannot subscribe to nothing: to everything, and off again
    address.add_resource_names_subscribe("*");
    address.add_resource_names_unsubscribe("*");
    for (const auto& [name, held] : address_.held) address.add_resource_names_subscribe(name);
    for (const auto& name : address_.pending) address.add_resource_names_subscribe(name);
  }
  return out;
}

void Session::settle(Type& type, const std::string& name, Outcome& outcome) {
  if (type.pending.erase(name) > 0) outcome.answered.push_back(name);
}

void Session::accept_resources(const Response& response, Type& type, Outcome& outcome) {
  const bool addresses = &type == &address_;
  for (const auto& resource : response.resources()) {
    ++outcome.resources;
    const auto& bytes = resource.resource().value();
    Problem bad;
    if (addresses) {
      auto decoded = state::decode_address(resource.name(), bytes);
      if (decoded) {
        for (const auto& name : names_of(*decoded)) settle(type, name, outcome);
        for (const auto& name : resource.aliases()) settle(type, name, outcome);
        if (auto* workload = std::get_if<mesh::WorkloadPtr>(&*decoded)) {
          outcome.edits.workloads.push_back(std::move(*workload));
        } else {
          outcome.edits.services.push_back(std::get<mesh::ServicePtr>(std::move(*decoded)));
        }
      } else {
        bad = decoded.error();
      }
    } else {
      auto decoded = state::decode_authorization(resource.name(), bytes);
      if (decoded) {
        outcome.edits.policies.push_back(*std::move(decoded));
      } else {
        bad = decoded.error();
      }
    }
    if (!bad.text.empty()) {
      ++outcome.rejected;
      append_nack(outcome.nack, resource.name(), bad.text);
      settle(type, resource.name(), outcome);
      continue;
    }
    type.held.insert_or_assign(resource.name(), Held{resource.version(), keep_bytes_ ? bytes : std::string()});
  }
}

Outcome Session::handle(const Response& response, Request& reply) {
  Outcome outcome;
  reply.Clear();
  reply.set_type_url(response.type_url());
  reply.set_response_nonce(response.nonce());
  const bool addresses = response.type_url() == state::kAddressType;
  if (!addresses && response.type_url() != state::kAuthorizationType) {
    outcome.nack = fmt::format("type {} was not subscribed", response.type_url());
  } else {
    Type& type = addresses ? address_ : authorization_;
    type.answered = true;
    auto& removed = addresses ? outcome.edits.removed_addresses : outcome.edits.removed_policies;
    for (const auto& name : response.removed_resources()) {
      type.held.erase(name);
      settle(type, name, outcome);
      removed.push_back(name);
    }
    accept_resources(response, type, outcome);
  }
  if (!outcome.nack.empty()) {
    reply.mutable_error_detail()->set_code(3);  // INVALID_ARGUMENT
    reply.mutable_error_detail()->set_message(outcome.nack);
  }
  return outcome;
}

Session::Want Session::want(const std::string& name, Request& request) {
  if (!on_demand_ || address_.held.contains(name)) return Want::kHeld;
  if (!address_.pending.insert(name).second) return Want::kAsked;
  request.Clear();
  request.set_type_url(std::string(state::kAddressType));
  request.add_resource_names_subscribe(name);
  return Want::kAsk;
}

bool Session::synced() const { return address_.answered && authorization_.answered; }

std::size_t Session::known(std::string_view type) const {
  return type == state::kAddressType ? address_.held.size() : authorization_.held.size();
}

std::vector<Response> Session::save() const {
  std::vector<Response> out(2);
  const auto fill = [](Response& response, std::string_view url, const Type& type) {
    response.set_type_url(std::string(url));
    for (const auto& [name, held] : type.held) {
      auto& resource = *response.add_resources();
      resource.set_name(name);
      resource.set_version(held.version);
      resource.mutable_resource()->set_type_url(std::string(url));
      resource.mutable_resource()->set_value(held.bytes);
    }
  };
  fill(out[0], state::kAddressType, address_);
  fill(out[1], state::kAuthorizationType, authorization_);
  return out;
}

state::Edits Session::load(const std::vector<Response>& saved) {
  Outcome outcome;
  for (const auto& response : saved) {
    if (response.type_url() == state::kAddressType) accept_resources(response, address_, outcome);
    if (response.type_url() == state::kAuthorizationType) accept_resources(response, authorization_, outcome);
  }
  return std::move(outcome.edits);
}

}  // namespace weft::xds
