#include "controlplane/xds/fleet.h"

#include <algorithm>
#include <utility>

namespace weft::controlplane::xds {

Fleet::Member::Member(Fleet& fleet, std::string id, std::function<void()> wake)
    : fleet_(fleet), id_(std::move(id)), wake_(std::move(wake)) {}

Fleet::Member::~Member() { fleet_.leave(*this); }

bool Fleet::Member::receive(const Request& request) {
  bool served = false;
  {
    std::lock_guard lock(fleet_.mutex_);
    served = session_.receive(request);
  }
  if (!request.nonce.empty()) fleet_.changed(id_);
  return served;
}

std::optional<Response> Fleet::Member::next() {
  std::lock_guard lock(fleet_.mutex_);
  return session_.next();
}

std::vector<TypeStatus> Fleet::Member::status() const {
  std::lock_guard lock(fleet_.mutex_);
  return session_.status();
}

std::uint64_t Fleet::Member::responses() const {
  std::lock_guard lock(fleet_.mutex_);
  return session_.responses();
}

std::unique_ptr<Fleet::Member> Fleet::join(std::string id, std::function<void()> wake) {
  std::unique_ptr<Member> member(new Member(*this, std::move(id), std::move(wake)));
  {
    std::lock_guard lock(mutex_);
    Group& group = groups_[member->id_];
    group.members.push_back(member.get());
    member->session_.want(group.snapshot);
  }
  changed(member->id_);
  return member;
}

void Fleet::leave(Member& member) {
  {
    std::lock_guard lock(mutex_);
    const auto group = groups_.find(member.id_);
    std::erase(group->second.members, &member);
    if (group->second.members.empty() && !group->second.snapshot) groups_.erase(group);
  }
  changed(member.id_);
}

void Fleet::set(const std::string& id, SnapshotPtr snapshot) {
  std::vector<std::function<void()>> wakes;
  {
    std::lock_guard lock(mutex_);
    Group& group = groups_[id];
    group.snapshot = std::move(snapshot);
    for (Member* member : group.members) {
      member->session_.want(group.snapshot);
      wakes.push_back(member->wake_);
    }
  }
  for (const auto& wake : wakes) wake();
}

void Fleet::remove(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto group = groups_.find(id);
  if (group == groups_.end()) return;
  group->second.snapshot = nullptr;
  for (Member* member : group->second.members) member->session_.want(nullptr);
  if (group->second.members.empty()) groups_.erase(group);
}

FleetStatus Fleet::status(const std::string& id) const {
  FleetStatus out;
  std::lock_guard lock(mutex_);
  const auto group = groups_.find(id);
  if (group == groups_.end()) return out;
  const std::vector<Member*>& members = group->second.members;
  out.connected = !members.empty();
  for (const Member* member : members) {
    out.sent += member->session_.sent();
    out.nacks += member->session_.nacks();
  }
  if (!group->second.snapshot) return out;
  for (const auto& [type, resources] : group->second.snapshot->types) {
    for (const auto& [name, resource] : resources) {
      FleetStatus::One& one = out.resources[{type, name}];
      one = {.taken = members.empty() ? Taken::kPending : Taken::kAcked,
             .held = !members.empty(),
             .error = {}};
      for (const Member* member : members) {
        const OrderedSession::State state = member->session_.state(type, name);
        one.held = one.held && state.held;
        if (!state.error.empty()) {
          one.taken = Taken::kRejected;
          one.error = state.error;
        } else if (!state.acked && one.taken == Taken::kAcked) {
          one.taken = Taken::kPending;
        }
      }
    }
  }
  for (const Member* member : members) {
    for (const char* type : {kScopedRouteType, kListenerType, kClusterType}) {
      for (const std::string& name : member->session_.leftovers(type))
        out.resources[{type, name}] = {.taken = Taken::kPending, .held = true, .error = {}};
    }
  }
  return out;
}

std::size_t Fleet::members() const {
  std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [id, group] : groups_) count += group.members.size();
  return count;
}

void Fleet::on_change(std::function<void(const std::string&)> changed) {
  std::lock_guard lock(mutex_);
  changed_ = std::move(changed);
}

void Fleet::changed(const std::string& id) const {
  std::function<void(const std::string&)> call;
  {
    std::lock_guard lock(mutex_);
    call = changed_;
  }
  if (call) call(id);
}

}  // namespace weft::controlplane::xds
