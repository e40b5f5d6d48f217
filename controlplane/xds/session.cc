#include "controlplane/xds/session.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>
#include <utility>

namespace weft::controlplane::xds {
namespace {

const TypeCache& type_in(const Cache::Types& types, const std::string& type) {
  static const TypeCache kEmpty;
  const auto found = types.find(type);
  return found == types.end() ? kEmpty : found->second;
}

bool is_group(const std::string& name) {
  return name.starts_with("node:") || name.starts_with("service:");
}

std::size_t weight(const Resource& resource) {
  return resource.body.size() + resource.name.size() + 64;
}

bool beyond_maxima(const Request& request) {
  const auto is_long = [](const std::string& name) { return name.size() > Session::kNameBytesMax; };
  return request.initial_versions.size() > Session::kVersionsMax ||
         std::any_of(request.subscribe.begin(), request.subscribe.end(), is_long) ||
         std::any_of(request.initial_versions.begin(), request.initial_versions.end(),
                     [&](const auto& item) { return is_long(item.first) || is_long(item.second); }) ||
         is_long(request.node_id) || is_long(request.node_name);
}

}  // namespace

Session::Session(const Cache& cache, std::vector<std::string> types, std::size_t response_bytes_max)
    : cache_(cache), order_(std::move(types)), bytes_max_(response_bytes_max) {}

bool Session::receive(const Request& request) {
  if (std::find(order_.begin(), order_.end(), request.type) == order_.end()) return false;
  if (too_much_ || beyond_maxima(request)) return too_much_ = true, false;
  if (!request.node_id.empty()) node_id_ = request.node_id;
  if (!request.node_name.empty()) node_name_ = request.node_name;
  Subscription& subscription = subscriptions_[request.type];
  if (!request.nonce.empty()) answered(subscription, request);
  subscribe(subscription, request);
  // What it holds already, or came with, is bounded by what there is and by kVersionsMax.
  const auto held = subscription.sent_names.size() + subscription.initial.size();
  too_much_ = subscription.names.size() > kNamesMax + held;
  return !too_much_;
}

void Session::answered(Subscription& subscription, const Request& request) {
  std::uint64_t nonce = 0;
  std::from_chars(request.nonce.data(), request.nonce.data() + request.nonce.size(), nonce);
  const auto found = subscription.in_flight.find(nonce);
  if (found == subscription.in_flight.end()) return;  // of an earlier stream
  if (request.error) {
    ++subscription.nacks;
    subscription.last_error = request.error->substr(0, kErrorBytesMax);
  } else {
    subscription.acked = std::max(subscription.acked, found->second);
    subscription.last_error.clear();
  }
  subscription.in_flight.erase(subscription.in_flight.begin(), std::next(found));
}

void Session::subscribe(Subscription& subscription, const Request& request) {
  const bool first = !std::exchange(subscription.started, true);
  bool everything = first && request.subscribe.empty();
  for (const std::string& name : request.subscribe) {
    everything = everything || name == "*";
    if (name == "*") continue;
    subscription.names.insert(name);
    subscription.unanswered.insert(name);
  }
  const bool never = std::find(request.unsubscribe.begin(), request.unsubscribe.end(), "*") !=
                     request.unsubscribe.end();
  for (const std::string& name : request.unsubscribe) {
    subscription.names.erase(name);
    subscription.unanswered.erase(name);
    subscription.sent_names.erase(name);
  }
  if (everything && !never && !subscription.wildcard) {
    subscription.wildcard = subscription.owes_answer = true;
    subscription.upserts = subscription.removes = 0;
  } else if (never && subscription.wildcard) {
    subscription.wildcard = false;
    subscription.unanswered = subscription.names;
  }
  if (!first) return;
  subscription.owes_answer = true;
  subscription.initial = request.initial_versions;
  if (subscription.wildcard) return;
  for (const auto& [name, version] : subscription.initial) {
    subscription.names.insert(name);
    subscription.unanswered.insert(name);
  }
  if (!node_name_.empty()) {
    subscription.names.insert("node:" + node_name_);
    subscription.unanswered.insert("node:" + node_name_);
  }
}

std::optional<Response> Session::next() {
  return cache_.read(
      [this](const Cache::Types& types, std::uint64_t generation) -> std::optional<Response> {
        for (const std::string& type : order_) {
          const auto found = subscriptions_.find(type);
          if (found == subscriptions_.end()) continue;
          Response response{.type = type};
          upserts(found->second, type_in(types, type), generation, response);
          if (type != order_.front())
            removes(found->second, type_in(types, type), generation, response);
          if (lost_) return std::nullopt;
          if (auto out = finish(found->second, generation, std::move(response))) return out;
        }
        const auto found = subscriptions_.find(order_.front());
        if (found == subscriptions_.end()) return std::nullopt;
        Response response{.type = order_.front()};
        removes(found->second, type_in(types, order_.front()), generation, response);
        return finish(found->second, generation, std::move(response));
      });
}

bool Session::wants(const Subscription& subscription, const Resource& resource) {
  if (subscription.wildcard) return true;
  if (subscription.sent_names.contains(resource.name) || subscription.names.contains(resource.name))
    return true;
  auto asked = [&](const std::string& name) { return subscription.names.contains(name); };
  return std::any_of(resource.aliases.begin(), resource.aliases.end(), asked) ||
         std::any_of(resource.groups.begin(), resource.groups.end(), asked);
}

// A client that asks by name also gets what belongs to it: a service's workloads.
void Session::follow(Subscription& subscription, const std::string& name) {
  subscription.sent_names.insert(name);
  const std::string group = "service:" + name;
  if (subscription.names.insert(group).second) subscription.unanswered.insert(group);
}

void Session::upserts(Subscription& subscription, const TypeCache& cache, std::uint64_t generation,
                      Response& out) {
  const bool fresh = subscription.upserts == 0;
  if (!fresh && subscription.upserts < cache.forgotten) {
    lost_ = true;
    return;
  }
  std::size_t bytes = 0;
  std::uint64_t told = generation;
  // Without wildcard a fresh client is told by name below.
  const auto from = fresh && !subscription.wildcard ? cache.log.end()
                                                    : cache.log.upper_bound(subscription.upserts);
  for (auto entry = from; entry != cache.log.end(); ++entry) {
    const auto found = cache.resources.find(entry->second);
    if (found == cache.resources.end() || !wants(subscription, *found->second)) continue;
    const auto known = subscription.initial.find(found->first);
    if (known != subscription.initial.end() && known->second == found->second->version) continue;
    bytes += weight(*found->second);
    if (bytes > bytes_max_ && !out.resources.empty()) {
      told = std::prev(entry)->first;
      break;
    }
    out.resources.push_back(found->second);
    if (!subscription.wildcard) follow(subscription, found->first);
  }
  subscription.upserts = told;
  if (!subscription.wildcard) answer_names(subscription, cache, out);
  subscription.unanswered.clear();
}

void Session::answer_names(Subscription& subscription, const TypeCache& cache, Response& out) {
  std::unordered_set<std::string> there;
  for (const ResourcePtr& resource : out.resources) there.insert(resource->name);
  while (!subscription.unanswered.empty()) {
    const std::string asked =
        subscription.unanswered.extract(subscription.unanswered.begin()).value();
    std::set<std::string> names;
    if (cache.resources.contains(asked)) names.insert(asked);
    const auto found = cache.names.find(asked);
    if (found != cache.names.end()) names.insert(found->second.begin(), found->second.end());
    if (names.empty() && !is_group(asked) && !subscription.initial.contains(asked))
      out.removed.push_back(asked);
    for (const std::string& name : names) {
      const ResourcePtr& resource = cache.resources.at(name);
      follow(subscription, name);
      const auto known = subscription.initial.find(name);
      const bool has_it = known != subscription.initial.end() && known->second == resource->version;
      if (!has_it && there.insert(name).second) out.resources.push_back(resource);
    }
  }
}

void Session::removes(Subscription& subscription, const TypeCache& cache, std::uint64_t generation,
                      Response& out) {
  if (subscription.removes == 0) {
    for (const auto& [name, version] : subscription.initial) {
      if (!cache.resources.contains(name)) out.removed.push_back(name);
    }
    subscription.initial.clear();
  } else {
    for (auto entry = cache.log.upper_bound(subscription.removes); entry != cache.log.end();
         ++entry) {
      if (cache.resources.contains(entry->second)) continue;
      const bool held = subscription.sent_names.erase(entry->second) > 0;
      if (held || subscription.wildcard) out.removed.push_back(entry->second);
    }
  }
  subscription.removes = generation;
}

std::optional<Response> Session::finish(Subscription& subscription, std::uint64_t generation,
                                        Response response) {
  const bool owed = std::exchange(subscription.owes_answer, false);
  if (response.resources.empty() && response.removed.empty()) {
    if (!owed) {
      if (subscription.in_flight.empty() && subscription.last_error.empty())
        subscription.acked = subscription.upserts;
      return std::nullopt;
    }
  }
  response.nonce = std::to_string(++nonce_);
  response.version = std::to_string(generation);
  subscription.in_flight[nonce_] = subscription.upserts;
  if (subscription.in_flight.size() > kInFlightMax)
    subscription.in_flight.erase(subscription.in_flight.begin());
  return response;
}

std::uint64_t Session::nacks() const {
  std::uint64_t sum = 0;
  for (const auto& [type, subscription] : subscriptions_) sum += subscription.nacks;
  return sum;
}

std::vector<TypeStatus> Session::status() const {
  std::vector<TypeStatus> out;
  for (const auto& [type, one] : subscriptions_) {
    out.push_back(
        {type, one.wildcard, one.names.size(), one.upserts, one.acked, one.nacks, one.last_error});
  }
  return out;
}

}  // namespace weft::controlplane::xds
