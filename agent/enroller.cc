#include "agent/enroller.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/log.h"

namespace weft::agent {

namespace {
constexpr auto kCheckEvery = std::chrono::seconds(5);

bool same_place(const DesiredPod& a, const DesiredPod& b) { return a.ips == b.ips; }
}  // namespace

Enroller::Enroller(Capture& kernel, NetnsFinder& finder, ZtunnelLink& link, OpenListeners open,
                   std::function<Clock::time_point()> clock)
    : kernel_(kernel), finder_(finder), link_(link), open_(std::move(open)), clock_(std::move(clock)) {}

Result<void> Enroller::adopt() {
  auto pods = kernel_.pods();
  if (!pods) return std::unexpected(pods.error());
  leftovers_ = std::move(*pods);
  stray_links_ = true;
  if (!leftovers_.empty()) spdlog::info("pods were captured by an earlier agent pods={}", leftovers_.size());
  return {};
}

void Enroller::want(Desired desired) {
  plain_ = std::move(desired.plain);
  std::vector<std::string> leaving;
  for (auto& [uid, entry] : entries_) {
    const auto wish = desired.pods.find(uid);
    const bool wished = wish != desired.pods.end();
    if (!entry.wanted) {
      wished ? (void)next_.insert_or_assign(uid, wish->second) : (void)next_.erase(uid);
    } else if (!wished) {
      leaving.push_back(uid);
    } else if (!same_place(entry.pod, wish->second)) {
      next_.insert_or_assign(uid, wish->second);
      leaving.push_back(uid);
    } else {
      entry.pod = wish->second;
    }
  }
  for (const auto& uid : leaving) {
    withdraw(entries_.at(uid), std::ranges::any_of(plain_, [&](const PlainPod& pod) { return pod.uid == uid && !pod.finished; }));
  }
  for (const auto& [uid, pod] : desired.pods) {
    if (!entries_.contains(uid)) add(pod);
  }
  if (!spoken_) {
    spoken_ = true;
    next_check_ = clock_() + kCheckEvery;
    release_leftovers();
    for (const auto& [id, hello] : hellos_) snapshot(id);
  } else if (!leftovers_.empty()) {
    release_leftovers();
  }
  for (auto& [uid, entry] : entries_) consider(entry);
}

Enroller::Entry& Enroller::add(const DesiredPod& pod) {
  Entry& entry = entries_[pod.uid];
  entry.pod = pod;
  entry.life = Life(WallClock::now());
  if (!leftovers_.empty() && find_netns(entry)) recognize(entry);
  return entry;
}

// Takes a leftover of the maps as this pod's own.
void Enroller::recognize(Entry& entry) {
  const auto mine = std::ranges::find(leftovers_, entry.netns.cookie, &CapturedPod::cookie);
  if (mine == leftovers_.end()) return;
  entry.in_kernel = true;
  entry.whole = true;  // outbound, which comes last, is there
  entry.kernel_ips = mine->ips;
  entry.kernel_dns = mine->dns;
  leftovers_.erase(mine);
}

void Enroller::on_hello(ConnectionId id, const zds::Hello& hello) {
  hellos_[id] = hello;
  latest_ = std::max(latest_, id);
  for (auto& [uid, entry] : entries_) {
    entry.backoff.reset();
    entry.next_try = {};
  }
  if (spoken_) snapshot(id);
}

void Enroller::on_gone(ConnectionId id) {
  hellos_.erase(id);
  latest_ = hellos_.empty() ? 0 : hellos_.rbegin()->first;
  for (auto& [uid, entry] : entries_) {
    if (entry.holder == id) entry.holder = 0;
  }
  for (auto& [uid, entry] : entries_) consider(entry);
}

// Everything this node wants, then the word that it was everything: what ztunnel knows beyond that, it drops.
void Enroller::snapshot(ConnectionId id) {
  for (auto& [uid, entry] : entries_) {
    if (id == latest_) entry.offer = 0;  // one that is under way goes to a connection before this
    consider(entry);
    const bool unheard = entry.offer == 0 && entry.holder != id && entry.wanted && entry.in_kernel;
    if (!unheard) continue;
    link_.request(id, [uid = uid]() -> Result<Outgoing> { return Outgoing{zds::encode_keep(uid), {}}; }, [](const Outcome&) {});
  }
  link_.request(
      id, []() -> Result<Outgoing> { return Outgoing{zds::encode_snapshot_sent(), {}}; },
      [id](const Outcome& outcome) {
        if (outcome.kind == Outcome::kDone) spdlog::info("ztunnel has this node's pods connection={}", id);
      });
}

void Enroller::consider(Entry& entry) {
  if (!spoken_ || !entry.wanted || entry.offer != 0) return;
  if (latest_ == 0) {
    entry.error = "waiting for ztunnel to connect";
    return;
  }
  if (entry.holder == latest_ && entry.life.state() == State::kCaptured) return;
  if (clock_() < entry.next_try) return;
  if (find_netns(entry)) offer(entry, latest_, false);
}

bool Enroller::find_netns(Entry& entry) {
  auto found = finder_.find(entry.pod);
  if (!found) {
    entry.error = describe(found.error());
    const auto now = clock_();
    const bool absent = found.error().code == Code::kNotFound;
    entry.next_try = absent ? entry.backoff.after_absence(now) : entry.backoff.after_failure(now);
    return false;
  }
  entry.netns = std::move(*found);
  recognize(entry);
  return true;
}

// With `refused_to_keep` from inside the answer: listeners go out before the word that all has been told.
void Enroller::offer(Entry& entry, ConnectionId id, bool refused_to_keep) {
  const std::string uid = entry.pod.uid;
  const std::uint64_t number = next_offer_++;
  entry.offer = number;
  entry.error.clear();
  if (entry.life.state() == State::kUnseen) change(entry, State::kOffered);
  auto make = [this, uid, number, hello = hellos_.at(id), refused_to_keep] { return make_offer(uid, number, hello, refused_to_keep); };
  auto done = [this, uid, number, id](const Outcome& outcome) { answered(uid, number, id, outcome); };
  refused_to_keep ? link_.request_next(id, std::move(make), std::move(done)) : link_.request(id, std::move(make), std::move(done));
}

// What is in the kernel is what this offer would put there.
bool Enroller::can_keep(const Entry& entry, const zds::Hello& hello) const {
  if (renew_ && !entry.renewed) return false;
  if (!entry.in_kernel || entry.kernel_dns != hello.dns || !std::ranges::is_permutation(entry.kernel_ips, entry.pod.ips)) return false;
  return std::ranges::all_of(entry.pod.ips, [this](const IpAddress& ip) { return kernel_.has_listener(ip).value_or(false); });
}

Result<Outgoing> Enroller::make_offer(const std::string& uid, std::uint64_t offer, const zds::Hello& hello, bool refused_to_keep) {
  const auto at = entries_.find(uid);
  if (at == entries_.end() || at->second.offer != offer) return fail(Code::kNotFound, "the pod is not wanted any more");
  Entry& entry = at->second;
  entry.way = Way::kListeners;
  if (!refused_to_keep && can_keep(entry, hello)) {
    entry.way = Way::kKeep;
    return Outgoing{zds::encode_keep(uid), {}};
  }
  auto outgoing = open_offer(entry, hello);
  if (outgoing || !entry.in_kernel) return outgoing;
  // Captured, and no sockets to be had: ztunnel shall not drop what it has of this pod.
  entry.way = Way::kSpare;
  entry.error = describe(outgoing.error());
  return Outgoing{zds::encode_keep(uid), {}};
}

Result<Outgoing> Enroller::open_offer(Entry& entry, const zds::Hello& hello) {
  auto sockets = open_(entry.netns.fd->get(), hello.loops, hello.dns);
  if (!sockets) return std::unexpected(sockets.error());
  Outgoing outgoing;
  outgoing.descriptors.push_back(entry.netns.fd);
  zds::Add add{entry.pod.uid, entry.pod.name, entry.pod.ns, entry.pod.service_account, {}, entry.pod.ips};
  for (auto& socket : *sockets) {
    add.kinds.push_back(socket.kind);
    outgoing.descriptors.push_back(std::make_shared<const Fd>(std::move(socket.fd)));
    if (socket.kind == SocketKind::kInbound) entry.listener = outgoing.descriptors.back();
  }
  auto frame = zds::encode_add(add);
  if (!frame) return std::unexpected(frame.error());
  outgoing.frame = std::move(*frame);
  return outgoing;
}

void Enroller::answered(const std::string& uid, std::uint64_t offer, ConnectionId id, const Outcome& outcome) {
  const auto at = entries_.find(uid);
  if (at == entries_.end() || at->second.offer != offer) return;
  Entry& entry = at->second;
  entry.offer = 0;
  switch (outcome.kind) {
    case Outcome::kDone:
      if (entry.way == Way::kSpare) return fall_back(entry, entry.error, true);
      return install(entry, id);
    case Outcome::kRefused:
      if (entry.way == Way::kKeep) return this->offer(entry, id, true);
      if (entry.way == Way::kSpare) return fall_back(entry, entry.error, true);
      ++counts_.refused_total;
      spdlog::warn("ztunnel refused a pod pod={}/{} reason=\"{}\"", entry.pod.ns, entry.pod.name, outcome.text);
      return fall_back(entry, "ztunnel refused: " + outcome.text, true);
    case Outcome::kNotMade:
      ++counts_.failed_total;
      return fall_back(entry, outcome.text, true);
    case Outcome::kLost:
      fall_back(entry, "ztunnel went away: " + outcome.text, false);
      return consider(entry);
  }
}

void Enroller::install(Entry& entry, ConnectionId id) {
  const std::shared_ptr<const Fd> listener = std::move(entry.listener);
  const bool kept = entry.way == Way::kKeep;
  WEFT_ASSERT(kept || listener != nullptr);
  entry.in_kernel = true;
  entry.kernel_ips = entry.pod.ips;
  entry.kernel_dns = hellos_.at(id).dns;
  auto captured = capture_pod(kernel_, entry.netns, entry.pod.ips, entry.kernel_dns, kept ? kListenersStay : listener->get());
  if (!captured) {
    ++counts_.failed_total;
    spdlog::error("a pod could not be captured pod={}/{} reason=\"{}\"", entry.pod.ns, entry.pod.name, describe(captured.error()));
    return fall_back(entry, describe(captured.error()), true);
  }
  entry.whole = true;
  entry.renewed = entry.renewed || !kept;
  entry.holder = id;
  entry.backoff.reset();
  entry.next_try = {};
  entry.error.clear();
  if (entry.life.state() == State::kOffered) {
    ++counts_.captured_total;
    change(entry, State::kCaptured);
  }
  consider(entry);  // a later ztunnel may have come meanwhile
}

void Enroller::fall_back(Entry& entry, std::string error, bool later) {
  entry.listener.reset();
  entry.error = std::move(error);
  if (later) entry.next_try = entry.backoff.after_failure(clock_());
  if (entry.life.state() == State::kOffered) change(entry, State::kUnseen);
}

void Enroller::change(Entry& entry, State to) {
  entry.life.change(to, WallClock::now());
  spdlog::info("pod {} pod={}/{} uid={} reason=\"{}\"", to_string(to), entry.pod.ns, entry.pod.name, entry.pod.uid,
               entry.error.empty() ? entry.pod.reason : entry.error);
}

// `running`: the pod goes on outside the mesh. May erase the entry: nobody uses it after this.
void Enroller::withdraw(Entry& entry, bool running) {
  const std::string uid = entry.pod.uid;
  entry.wanted = false;
  entry.offer = 0;
  entry.listener.reset();
  entry.error = "not wanted in the mesh here any more";
  if (entry.in_kernel) {
    auto released = release_pod(kernel_, entry.netns.cookie, entry.netns.inode, entry.kernel_ips);
    if (released) {
      ++counts_.released_total;
    } else {
      ++counts_.failed_total;
      leftovers_.push_back({entry.netns.cookie, entry.kernel_ips, entry.kernel_dns, entry.netns.inode});  // tried again by check()
      spdlog::error("a pod could not be released pod={}/{} reason=\"{}\"", entry.pod.ns, entry.pod.name, describe(released.error()));
    }
    entry.in_kernel = entry.whole = false;
  }
  if (entry.netns.valid()) departed_[uid] = {entry.pod, entry.netns.cookie, clock_() + kFarewell};
  change(entry, State::kDraining);
  const auto connections = link_.connections();
  entry.farewells = connections.size();
  for (const ConnectionId id : connections) {
    link_.request(
        id, [uid, running]() -> Result<Outgoing> { return Outgoing{zds::encode_del(uid, running), {}}; },
        [this, uid](const Outcome&) {
          if (--entries_.at(uid).farewells == 0) finish(uid);
        });
  }
  if (connections.empty()) finish(uid);
}

void Enroller::finish(const std::string& uid) {
  entries_.at(uid).error = "withdrawn";
  change(entries_.at(uid), State::kGone);
  entries_.erase(uid);
  auto again = next_.extract(uid);
  if (!again.empty()) consider(add(again.mapped()));
}

void Enroller::tick() {
  if (!spoken_) return;
  if (clock_() >= next_check_) check();
  for (auto& [uid, entry] : entries_) consider(entry);
}

// A pod whose sandbox was made anew has a new namespace under the old UID.
void Enroller::check() {
  next_check_ = clock_() + kCheckEvery;
  std::erase_if(departed_, [now = clock_()](const auto& item) { return item.second.until <= now; });
  std::vector<std::string> moved;
  for (auto& [uid, entry] : entries_) {
    if (!entry.wanted || !entry.netns.valid()) continue;
    auto found = finder_.find(entry.pod);
    if (found && found->cookie != entry.netns.cookie) moved.push_back(uid);
  }
  for (const auto& uid : moved) {
    Entry& entry = entries_.at(uid);
    next_.insert_or_assign(uid, entry.pod);
    withdraw(entry, false);
  }
  release_leftovers();
}

// One whose pod is wanted and not found yet stays: its pod is in the mesh, without a gap. So does one that may be a pod's that is wanted
// and whose addresses its object does not tell yet.
bool Enroller::awaited(const CapturedPod& leftover) const {
  const auto is = [&](const std::vector<IpAddress>& ips) {
    return std::ranges::any_of(leftover.ips, [&](const IpAddress& ip) { return contains(ips, ip); });
  };
  if (std::ranges::any_of(entries_, [&](const auto& item) { return item.second.wanted && !item.second.netns.valid() && is(item.second.pod.ips); })) return true;
  const bool known = std::ranges::any_of(plain_, [&](const PlainPod& pod) { return is(pod.ips); });
  return !known && std::ranges::any_of(plain_, &PlainPod::wanted);
}

// A leftover whose pod lives on outside the mesh must lose its inbound program with its addresses, or nobody reaches it.
std::uint64_t Enroller::inode_of(const CapturedPod& leftover) const {
  if (leftover.inode != 0) return leftover.inode;
  for (const auto& pod : plain_) {
    const bool same = std::ranges::any_of(leftover.ips, [&](const IpAddress& ip) { return contains(pod.ips, ip); });
    auto found = same ? finder_.find({.uid = pod.uid, .ns = pod.ns, .name = pod.name, .service_account = "", .ips = pod.ips, .reason = "", .key = ""})
                      : Result<Netns>(fail(Code::kNotFound, "another pod"));
    if (found && found->cookie == leftover.cookie) return found->inode;
  }
  return 0;
}

void Enroller::release_leftovers() {
  std::erase_if(leftovers_, [&](const CapturedPod& leftover) {
    if (awaited(leftover)) return false;
    // Its addresses may be another pod's by now.
    std::vector<IpAddress> ips;
    std::ranges::copy_if(leftover.ips, std::back_inserter(ips), [this](const IpAddress& ip) {
      return std::ranges::none_of(entries_, [&](const auto& item) { return contains(item.second.pod.ips, ip); });
    });
    auto released = release_pod(kernel_, leftover.cookie, inode_of(leftover), ips);
    if (released) spdlog::info("a leftover was released netns_cookie={}", leftover.cookie);
    return released.has_value();
  });
  release_stray_links();
}

// Addresses and links that belong to no pod of this node. Waits until every wanted pod's namespace is known: a link that is taken off a
// pod in the mesh would let its inbound traffic in.
void Enroller::release_stray_links() {
  const bool known = std::ranges::all_of(entries_, [](const auto& item) { return item.second.netns.valid(); });
  if (!stray_links_ || !known || !leftovers_.empty()) return;
  auto ips = kernel_.enrolled_ips();
  auto links = kernel_.inbound_netns();
  if (!ips || !links) return;
  stray_links_ = false;
  const auto ours = [this](const auto& test) { return std::ranges::any_of(entries_, [&](const auto& item) { return test(item.second); }); };
  for (const auto inode : *links) {
    if (ours([&](const Entry& entry) { return entry.netns.inode == inode; })) continue;
    if (!kernel_.detach_inbound(inode)) stray_links_ = true;
  }
  for (const auto& ip : *ips) {
    if (ours([&](const Entry& entry) { return contains(entry.pod.ips, ip); })) continue;
    if (!kernel_.withdraw_ip(ip) || !kernel_.remove_listener(ip)) stray_links_ = true;
  }
}

Clock::time_point Enroller::next_wakeup() const {
  auto next = spoken_ ? next_check_ : Clock::time_point::max();
  for (const auto& [uid, entry] : entries_) {
    const bool idle = entry.wanted && entry.offer == 0 && latest_ != 0;
    if (idle && (entry.holder != latest_ || entry.life.state() != State::kCaptured)) next = std::min(next, entry.next_try);
  }
  return next;
}

std::optional<Netns> Enroller::netns_of(const std::string& uid) const {
  const auto at = entries_.find(uid);
  if (at != entries_.end() && at->second.wanted && at->second.netns.valid()) {
    const State state = at->second.life.state();
    if (at->second.in_kernel || state == State::kOffered || state == State::kCaptured) return at->second.netns;
  }
  const auto gone = departed_.find(uid);
  if (gone == departed_.end() || gone->second.until <= clock_()) return std::nullopt;
  auto found = finder_.find(gone->second.pod);  // none is held: it may have ended meanwhile
  if (!found || found->cookie != gone->second.cookie) return std::nullopt;
  return *std::move(found);
}

PodView Enroller::view_of(const Entry& entry) {
  // Captured by an earlier agent, and on the way through the states of this one: to its user it is captured.
  const State state = entry.whole && entry.wanted ? State::kCaptured : entry.life.state();
  return {entry.pod, state, entry.life.since(), entry.error};
}

std::optional<PodView> Enroller::pod(const std::string& uid) const {
  const auto at = entries_.find(uid);
  return at == entries_.end() ? std::nullopt : std::optional(view_of(at->second));
}

std::vector<PodView> Enroller::pods() const {
  std::vector<PodView> views;
  for (const auto& [uid, entry] : entries_) views.push_back(view_of(entry));
  std::ranges::sort(views, {}, [](const PodView& view) { return std::pair(view.pod.ns, view.pod.name); });
  return views;
}

bool Enroller::settled(std::string* why) const {
  for (const auto& [uid, entry] : entries_) {
    if (!entry.wanted || (entry.life.state() == State::kCaptured && latest_ != 0 && entry.holder == latest_)) continue;
    if (why != nullptr) *why = fmt::format("pod {}/{} is {}{}{}", entry.pod.ns, entry.pod.name, to_string(entry.life.state()), entry.error.empty() ? "" : ": ", entry.error);
    return false;
  }
  return true;
}

}  // namespace weft::agent
