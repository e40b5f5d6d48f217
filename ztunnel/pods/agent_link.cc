#include "ztunnel/pods/agent_link.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "base/log.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/ops.h"

namespace weft::pods {
namespace {

constexpr auto kBackoffMin = std::chrono::milliseconds(10);
constexpr auto kBackoffMax = std::chrono::seconds(1);
constexpr auto kSendWait = std::chrono::seconds(5);
constexpr std::size_t kOutMax = 4096;  // packets waiting to go to the agent; more: it does not read, the link is made anew

Result<Fd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return fail(Code::kSystem, "path of the agent's socket", ENAMETOOLONG);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail(Code::kSystem, "socket", errno);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return fail(Code::kUnreachable, "connect to the agent", errno);
  }
  return socket;
}

std::vector<Fd> take_descriptors(msghdr& message) {
  std::vector<Fd> out;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      out.emplace_back(fd);
    }
  }
  return out;
}

}  // namespace

AgentLink::AgentLink(io::Loop& main, AgentLinkOptions options, PodListener& listener)
    : main_(main), options_(std::move(options)), listener_(listener), stop_(main), writable_(main) {}

AgentLink::~AgentLink() { WEFT_ASSERT(!socket_.valid()); }

io::Task<void> AgentLink::run() {
  Clock::duration wait = kBackoffMin;
  bool told = false;
  while (!stopping_) {
    auto socket = connect_to(options_.path);
    if (socket) {
      socket_ = *std::move(socket);
      counters_.connects.fetch_add(1, std::memory_order_relaxed);
      spdlog::info("connected to the agent path={}", options_.path);
      told = false;
      set_state(State::kSnapshot);
      co_await serve();
      if (state_ == State::kLive) wait = kBackoffMin;
      set_state(State::kAway);
      if (!stopping_) spdlog::warn("the agent is away; running pods are not affected path={}", options_.path);
    } else if (!std::exchange(told, true)) {
      spdlog::warn("cannot reach the agent, trying again path={} error=\"{}\"", options_.path, describe(socket.error()));
    }
    if (stopping_) break;
    const auto stopped = co_await stop_.wait(main_.in(wait));
    if (stopped) break;
    wait = std::min<Clock::duration>(wait * 2, kBackoffMax);
  }
}

void AgentLink::stop() {
  stopping_ = true;
  stop_.set();
  if (socket_) main_.cancel(socket_.get());
}

io::Task<void> AgentLink::serve() {
  io::Scope writer;
  out_.clear();
  writable_.clear();
  seen_.clear();
  send(encode_hello(options_.loops, options_.dns));
  write_out(writer);
  for (;;) {
    auto packet = receive();
    if (packet) {
      handle(*std::move(packet));
      continue;
    }
    if (packet.error().code == Code::kMalformed) {
      spdlog::error("the agent sent what is no ZDS packet error=\"{}\"", describe(packet.error()));
      break;
    }
    if (packet.error().code != Code::kTimedOut) break;
    const auto woken = co_await io::readable(main_, socket_.get());
    if (!woken || stopping_) break;
  }
  main_.cancel(socket_.get());
  main_.close(Fd(socket_.release()));
  writable_.set();
  co_await writer.join();
  auto unanswered = std::exchange(asked_, {});
  for (auto& [id, asked] : unanswered) asked.answer(asked.ask, fail(Code::kClosed, "the agent is away"));
}

io::Spawned AgentLink::write_out(io::Scope&) {
  for (;;) {
    const auto woken = co_await writable_.wait();
    if (!woken || !socket_) break;
    if (out_.empty()) {
      writable_.clear();
      continue;
    }
    const std::string packet = std::move(out_.front());
    out_.pop_front();
    const auto bytes = std::as_bytes(std::span(packet));
    const auto sent = co_await io::send_all(main_, socket_.get(), bytes, main_.in(kSendWait));
    if (sent) continue;
    if (socket_) main_.cancel(socket_.get());
    break;
  }
}

void AgentLink::send(std::string packet) {
  out_.push_back(std::move(packet));
  writable_.set();
  if (out_.size() > kOutMax && socket_) main_.cancel(socket_.get());
}

Result<AgentLink::Packet> AgentLink::receive() {
  Packet packet;
  packet.bytes.resize(kPacketMax + 1);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorsMax * sizeof(int))> control;
  iovec piece{packet.bytes.data(), packet.bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return fail(Code::kTimedOut, "nothing there yet");
  if (got <= 0) return fail(Code::kClosed, "agent", got < 0 ? errno : 0);
  packet.descriptors = take_descriptors(message);
  if ((message.msg_flags & MSG_TRUNC) != 0) return fail(Code::kMalformed, "a packet of more than 1024 bytes");
  if ((message.msg_flags & MSG_CTRUNC) != 0) return fail(Code::kMalformed, "descriptors were lost", EMFILE);
  packet.bytes.resize(static_cast<std::size_t>(got));
  return packet;
}

void AgentLink::handle(Packet packet) {
  auto message = decode_agent_message(packet.bytes);
  if (!message) {  // the agent waits for an answer to everything but a grant: it gets the reason, and the old state stays
    counters_.messages_malformed.fetch_add(1, std::memory_order_relaxed);
    spdlog::error("the agent sent a bad message error=\"{}\"", message.error().text);
    return send(encode_ack(message.error().text));
  }
  if (auto* grant = std::get_if<Grant>(&*message)) return handle_grant(*grant, std::move(packet.descriptors));
  std::string error;
  if (auto* add = std::get_if<AddPod>(&*message)) {
    error = handle_add(std::move(*add), std::move(packet.descriptors));
  } else if (!packet.descriptors.empty()) {
    error = "descriptors with a message that has none";
  } else if (auto* keep = std::get_if<KeepPod>(&*message)) {
    error = handle_keep(keep->uid);
  } else if (auto* gone = std::get_if<DeletePod>(&*message)) {
    handle_delete(*gone);
  } else {
    handle_snapshot_sent();
  }
  send(encode_ack(error));
}

std::string AgentLink::handle_add(AddPod add, std::vector<Fd> descriptors) {
  const std::string uid = add.pod.uid;
  seen_.insert(uid);
  auto sockets = sort_sockets(add, std::move(descriptors), options_.loops);
  std::string error;
  if (!sockets) {
    error = sockets.error().text;
  } else if (auto started = listener_.on_add(add.pod, *std::move(sockets)); !started) {
    error = started.error().text;
  }
  if (!error.empty()) {
    spdlog::error("pod not started uid={} pod={}/{} error=\"{}\"", uid, add.pod.ns, add.pod.name, error);
    pending_[uid] = error;
    count_pods();
    return error;
  }
  pending_.erase(uid);
  const bool known = !pods_.insert_or_assign(uid, add.pod).second;
  if (!known) counters_.proxies_started.fetch_add(1, std::memory_order_relaxed);
  spdlog::info("pod {} uid={} pod={}/{} service_account={}", known ? "got new sockets" : "joined", uid, add.pod.ns,
               add.pod.name, add.pod.service_account);
  count_pods();
  if (on_pods_) on_pods_();
  return "";
}

// A pod that is here goes on with the sockets it has. Of any other the agent is to send an AddWorkload.
std::string AgentLink::handle_keep(const std::string& uid) {
  if (!pods_.contains(uid)) return "unknown pod, nothing to keep";
  seen_.insert(uid);
  spdlog::debug("pod kept its sockets uid={}", uid);
  return "";
}

void AgentLink::handle_delete(const DeletePod& gone) {
  const std::string& uid = gone.uid;
  pending_.erase(uid);
  seen_.erase(uid);
  const auto it = pods_.find(uid);
  if (it != pods_.end()) {
    spdlog::info("pod left uid={} pod={}/{}", uid, it->second.ns, it->second.name);
    pods_.erase(it);
    counters_.proxies_stopped.fetch_add(1, std::memory_order_relaxed);
    listener_.on_delete(uid, gone.running);
  }
  count_pods();
  if (on_pods_) on_pods_();
}

void AgentLink::handle_snapshot_sent() {
  std::vector<std::string> vanished;
  for (const auto& [uid, pod] : pods_) {
    if (!seen_.contains(uid)) vanished.push_back(uid);
  }
  for (const auto& uid : vanished) handle_delete({.uid = uid});
  std::erase_if(pending_, [this](const auto& entry) { return !seen_.contains(entry.first); });
  count_pods();
  ready_once_ = true;
  set_state(State::kLive);
  if (on_pods_) on_pods_();
  if (on_live_) on_live_();
}

void AgentLink::handle_grant(const Grant& grant, std::vector<Fd> descriptors) {
  const auto it = asked_.find(grant.id);
  if (it == asked_.end()) return;  // too late: the sockets close here
  Asked asked = std::move(it->second);
  asked_.erase(it);
  if (descriptors.empty()) {
    spdlog::warn("the agent gave no socket uid={} error=\"{}\"", asked.ask.uid, grant.error);
    asked.answer(asked.ask, fail(Code::kSystem, "the agent could not open a socket"));
  } else {
    asked.answer(asked.ask, std::move(descriptors));
  }
}

void AgentLink::ask(SocketAsk ask, Answer answer) {
  if (state_ != State::kLive) return answer(ask, fail(Code::kClosed, "the agent is away"));
  const auto id = next_ask_++;
  ask.id = id;
  auto packet = encode_socket_request(ask);
  asked_.emplace(id, Asked{std::move(ask), std::move(answer)});
  send(std::move(packet));
}

void AgentLink::set_state(State next) {
  const bool legal = (state_ == State::kAway && next == State::kSnapshot) ||
                     (state_ == State::kSnapshot && next == State::kLive) || next == State::kAway ||
                     (state_ == State::kLive && next == State::kLive);
  WEFT_ASSERT(legal);
  state_ = next;
}

void AgentLink::count_pods() {
  counters_.active.store(pods_.size(), std::memory_order_relaxed);
  counters_.pending.store(pending_.size(), std::memory_order_relaxed);
}

}  // namespace weft::pods
