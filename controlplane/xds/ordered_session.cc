#include "controlplane/xds/ordered_session.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weft::controlplane::xds {
namespace {

// What may go out together; a step begins when the one before is settled. Clusters and what they
// wait for are one step: Envoy acknowledges clusters when they have warmed, which they do with
// their endpoints and secrets (seen with 1.40.0).
constexpr std::array<std::array<const char*, 3>, 4> kSteps = {
    {{kClusterType, kEndpointsType, kSecretType},
     {kListenerType, nullptr, nullptr},
     {kExtensionType, nullptr, nullptr},
     {kScopedRouteType, nullptr, nullptr}}};

bool is_known(const std::string& type) {
  for (const auto& step : kSteps) {
    for (const char* one : step) {
      if (one != nullptr && type == one) return true;
    }
  }
  return false;
}

// Types that Envoy asks for by name, as something else needs them.
bool is_by_name(const std::string& type) {
  return type == kEndpointsType || type == kSecretType || type == kExtensionType;
}

// Removals of clusters wait until nothing names them; those of types asked by name are never said.
bool removes_with_upserts(const std::string& type) {
  return type == kListenerType || type == kScopedRouteType;
}

// Of a refused response Envoy remembers the scoped routes that came before the bad one, and does
// not use them; sent again as they were, it takes them for known and acknowledges without using
// them. So what goes out again says the same in other bytes: route_configuration.metadata gets an
// empty "weft". (Seen with 1.40.0.)
ResourcePtr in_other_bytes(const ResourcePtr& resource) {
  auto out = std::make_shared<Resource>(*resource);
  out->body.append("\x2a\x0d\x8a\x01\x0a\x0a\x08\x0a\x04weft\x12\x00", 15);
  return out;
}

std::size_t weight(const Resource& resource) {
  return resource.body.size() + resource.name.size() + 64;
}

}  // namespace

bool OrderedSession::receive(const Request& request) {
  if (!is_known(request.type)) return false;
  if (!request.node_id.empty()) node_id_ = request.node_id;
  Type& type = types_[request.type];
  if (!request.nonce.empty()) answered(request.type, type, request);
  subscribe(request.type, type, request);
  return true;
}

void OrderedSession::want(SnapshotPtr snapshot) { snapshot_ = std::move(snapshot); }

void OrderedSession::subscribe(const std::string& name, Type& type, const Request& request) {
  const bool first = !std::exchange(type.started, true);
  if (first) {
    type.owes_answer = true;
    type.wildcard = !is_by_name(name) && request.subscribe.empty();
    // Endpoints are sent again: a cluster that was still warming when the stream before broke needs
    // them, and its old self's version is what Envoy tells.
    if (name != kEndpointsType) type.holds = request.initial_versions;
  }
  for (const std::string& one : request.subscribe) {
    if (one == "*") {
      type.wildcard = true;
      continue;
    }
    type.names.insert(one);
    // Asked for anew: whatever it held under that name is not what waits now.
    if (!first && is_by_name(name)) type.holds.erase(one);
  }
  for (const std::string& one : request.unsubscribe) {
    if (one == "*") {
      type.wildcard = false;
      continue;
    }
    type.names.erase(one);
    type.holds.erase(one);
    type.bad.erase(one);
  }
}

void OrderedSession::answered(const std::string& name, Type& type, const Request& request) {
  if (!type.in_flight || type.in_flight->nonce != request.nonce) return;  // not of this stream
  const InFlight flight = *std::exchange(type.in_flight, std::nullopt);
  if (request.error) {
    ++type.nacks;
    type.last_error = *request.error;
    if (flight.versions.size() == 1) {
      const auto& [resource, version] = *flight.versions.begin();
      type.bad[resource] = {version, *request.error};
      type.alone.erase(resource);
    } else {
      for (const auto& [resource, version] : flight.versions) type.alone.insert(resource);
    }
    return;
  }
  type.last_error.clear();
  for (const auto& [resource, version] : flight.versions) {
    type.alone.erase(resource);
    type.bad.erase(resource);
    if (version.empty()) {
      type.holds.erase(resource);
      continue;
    }
    type.holds[resource] = version;
  }
}

const std::map<std::string, ResourcePtr>& OrderedSession::wanted(const std::string& type) const {
  static const std::map<std::string, ResourcePtr> kNone;
  if (!snapshot_) return kNone;
  const auto found = snapshot_->types.find(type);
  return found == snapshot_->types.end() ? kNone : found->second;
}

bool OrderedSession::lacks(const Type& type, const ResourcePtr& resource) const {
  if (!type.wildcard && !type.names.contains(resource->name)) return false;
  const auto bad = type.bad.find(resource->name);
  if (bad != type.bad.end() && bad->second.first == resource->version) return false;
  const auto held = type.holds.find(resource->name);
  return held == type.holds.end() || held->second != resource->version;
}

// Envoy has just got something that will ask for this type, and has not asked yet.
bool OrderedSession::waits_for_subscription(const std::string& name, const Type& type) const {
  auto missing = [&](const std::string& resource) {
    return wanted(name).contains(resource) && !type.names.contains(resource);
  };
  if (name == kEndpointsType) {
    const auto clusters = types_.find(kClusterType);
    if (clusters == types_.end()) return false;
    return std::ranges::any_of(clusters->second.holds, [&](const auto& held) {
      return wanted(kClusterType).contains(held.first) && missing(held.first);
    });
  }
  if (name == kExtensionType) {
    const auto listeners = types_.find(kListenerType);
    if (listeners == types_.end() || listeners->second.holds.empty()) return false;
    return std::ranges::any_of(wanted(name), [&](const auto& one) { return missing(one.first); });
  }
  return false;
}

bool OrderedSession::fill(const std::string& name, Type& type, bool removals, Response& out) const {
  std::size_t bytes = 0;
  const auto& resources = wanted(name);
  // What was refused together goes alone; the rest waits for it.
  for (const std::string& one : type.alone) {
    const auto found = resources.find(one);
    if (found != resources.end() && lacks(type, found->second)) {
      const bool again = name == kScopedRouteType;
      out.resources.push_back(again ? in_other_bytes(found->second) : found->second);
      return true;
    }
    if (found == resources.end() && type.holds.contains(one) && removals) {
      out.removed.push_back(one);
      return true;
    }
  }
  for (const auto& [resource, held] : resources) {
    if (!lacks(type, held)) continue;
    bytes += weight(*held);
    if (bytes > kResponseBytesMax && !out.resources.empty()) return true;
    out.resources.push_back(held);
  }
  if (removals) {
    for (const auto& [resource, version] : type.holds) {
      const auto bad = type.bad.find(resource);
      const bool refused = bad != type.bad.end() && bad->second.first.empty();
      if (!resources.contains(resource) && !refused) out.removed.push_back(resource);
    }
  }
  return !out.resources.empty() || !out.removed.empty();
}

// A cluster that changes starts anew, and waits for its endpoints even when they are the same.
void OrderedSession::resend_endpoints(const Response& clusters) {
  Type& endpoints = types_[kEndpointsType];
  for (const ResourcePtr& one : clusters.resources) {
    endpoints.holds.erase(one->name);
    if (endpoints.in_flight) endpoints.in_flight->versions.erase(one->name);
  }
}

std::optional<Response> OrderedSession::send(Type& type, Response response) {
  if (response.type == kClusterType) resend_endpoints(response);
  type.owes_answer = false;
  response.nonce = std::to_string(++nonce_);
  InFlight flight{.nonce = response.nonce, .versions = {}};
  for (const ResourcePtr& one : response.resources) flight.versions[one->name] = one->version;
  for (const std::string& one : response.removed) flight.versions[one] = "";
  sent_ += response.resources.size();
  type.in_flight = std::move(flight);
  return response;
}

std::optional<Response> OrderedSession::next() {
  if (!snapshot_) return std::nullopt;
  for (const auto& step : kSteps) {
    bool settled = true;
    for (const char* name : step) {
      if (name == nullptr) continue;
      const auto found = types_.find(name);
      if (found == types_.end() || !found->second.started) {
        if (waits_for_subscription(name, found == types_.end() ? Type{} : found->second))
          settled = false;
        continue;
      }
      Type& type = found->second;
      if (type.in_flight) {
        settled = false;
        continue;
      }
      Response response{.type = name};
      if (fill(name, type, removes_with_upserts(name), response) ||
          (type.owes_answer && type.wildcard))
        return send(type, std::move(response));
      if (waits_for_subscription(name, type)) settled = false;
    }
    if (!settled) return std::nullopt;
  }
  // Everything is in place and acknowledged: nobody names what is left over, but for what Envoy
  // keeps an older version of.
  const auto clusters = types_.find(kClusterType);
  Response response{.type = kClusterType};
  if (clusters == types_.end() || keeps_old(kScopedRouteType) || keeps_old(kListenerType) ||
      !fill(kClusterType, clusters->second, true, response))
    return std::nullopt;
  return send(clusters->second, std::move(response));
}

bool OrderedSession::keeps_old(const std::string& type) const {
  const auto found = types_.find(type);
  if (found == types_.end()) return false;
  return std::ranges::any_of(found->second.holds, [&](const auto& held) {
    const auto now = wanted(type).find(held.first);
    return now == wanted(type).end() || now->second->version != held.second;
  });
}

OrderedSession::State OrderedSession::state(const std::string& type,
                                            const std::string& name) const {
  State out;
  const auto found = types_.find(type);
  const auto& resources = wanted(type);
  const auto resource = resources.find(name);
  if (found == types_.end()) return out;
  const auto held = found->second.holds.find(name);
  out.held = held != found->second.holds.end();
  if (resource == resources.end()) return out;
  out.acked = out.held && held->second == resource->second->version;
  const auto bad = found->second.bad.find(name);
  if (bad != found->second.bad.end() && bad->second.first == resource->second->version)
    out.error = bad->second.second;
  return out;
}

std::vector<std::string> OrderedSession::leftovers(const std::string& type) const {
  std::vector<std::string> out;
  const auto found = types_.find(type);
  if (found == types_.end()) return out;
  for (const auto& [name, version] : found->second.holds) {
    if (!wanted(type).contains(name)) out.push_back(name);
  }
  return out;
}

std::uint64_t OrderedSession::nacks() const {
  std::uint64_t sum = 0;
  for (const auto& [name, type] : types_) sum += type.nacks;
  return sum;
}

std::vector<TypeStatus> OrderedSession::status() const {
  std::vector<TypeStatus> out;
  for (const auto& [name, type] : types_) {
    out.push_back({.type = name,
                   .wildcard = type.wildcard,
                   .names = type.names.size(),
                   .sent = wanted(name).size(),
                   .acked = type.holds.size(),
                   .nacks = type.nacks,
                   .last_error = type.last_error});
  }
  return out;
}

}  // namespace weft::controlplane::xds
