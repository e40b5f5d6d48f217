#include "agent/exchange.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace weft::agent {

namespace {
constexpr int kListenBacklog = 64;
}

Exchange::Exchange(Reactor& reactor, Fd listener, std::string end, bool once, Handler handler)
    : reactor_(reactor), listener_(std::move(listener)), end_(std::move(end)), once_(once), handler_(std::move(handler)) {
  auto watched = reactor_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_one(); });
  WEFT_ASSERT(watched.has_value());
}

Exchange::~Exchange() {
  while (!peers_.empty()) close(peers_.begin()->first);
  reactor_.forget(listener_.get());
}

void Exchange::accept_one() {
  Fd accepted(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!accepted) return;
  if (peers_.size() >= kConnectionsMax) close_oldest();
  const int fd = accepted.get();
  auto watched = reactor_.watch(fd, EPOLLIN, [this, fd](std::uint32_t) { serve(fd); });
  if (!watched) return;
  Peer& peer = peers_[fd];
  peer.fd = std::move(accepted);
  peer.number = ++arrived_;
  peer.timer = reactor_.at(Clock::now() + kPatience, [this, fd] { close(fd); });
}

void Exchange::close_oldest() {
  const auto oldest = std::ranges::min_element(peers_, {}, [](const auto& entry) { return entry.second.number; });
  close(oldest->first);
}

void Exchange::serve(int fd) {
  Peer& peer = peers_.at(fd);
  if (!receive(peer)) return close(fd);
  answer(peer);
  if (!flush(peer)) close(fd);
}

bool Exchange::receive(Peer& peer) {
  std::array<char, 4096> buffer;
  const auto got = ::recv(peer.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN;
  if (got == 0) {
    peer.finishing = true;
    return !peer.out.empty();
  }
  if (!peer.finishing) peer.in.append(buffer.data(), static_cast<std::size_t>(got));
  return peer.in.size() <= kRequestMax;
}

void Exchange::answer(Peer& peer) {
  for (auto at = peer.in.find(end_); at != std::string::npos && !peer.finishing; at = peer.in.find(end_)) {
    peer.out += handler_(std::string_view(peer.in).substr(0, at));
    peer.in.erase(0, at + end_.size());
    peer.finishing = once_;
  }
}

bool Exchange::flush(Peer& peer) {
  while (!peer.out.empty()) {
    const auto sent = ::send(peer.fd.get(), peer.out.data(), peer.out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) break;
    peer.out.erase(0, static_cast<std::size_t>(sent));
  }
  if (peer.out.empty() && peer.finishing) return false;
  const std::uint32_t reading = peer.finishing ? 0 : EPOLLIN;
  [[maybe_unused]] auto changed = reactor_.change(peer.fd.get(), peer.out.empty() ? reading : reading | EPOLLOUT);
  return true;
}

void Exchange::close(int fd) {
  const auto at = peers_.find(fd);
  if (at == peers_.end()) return;
  reactor_.cancel(at->second.timer);
  reactor_.forget(fd);
  peers_.erase(at);
}

Exchange::Handler http_handler(std::function<HttpAnswer(std::string_view path)> get) {
  return [get = std::move(get)](std::string_view request) {
    const std::string_view line = request.substr(0, request.find("\r\n"));
    const auto method_end = line.find(' ');
    const auto path_end = method_end == std::string_view::npos ? method_end : line.find_first_of(" ?", method_end + 1);
    HttpAnswer answer{.status = 400, .body = "bad request\n"};
    const std::string_view method = line.substr(0, method_end);
    if (path_end != std::string_view::npos) {
      const bool known = method == "GET" || method == "HEAD";
      answer = known ? get(line.substr(method_end + 1, path_end - method_end - 1)) : HttpAnswer{.status = 405, .body = "only GET\n"};
    }
    const char* reason = answer.status == 200 ? "OK" : answer.status == 503 ? "Service Unavailable" : "Error";
    return fmt::format("HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}", answer.status, reason,
                       answer.type, answer.body.size(), method == "HEAD" ? "" : answer.body);
  };
}

Result<Fd> listen_tcp(const SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t length = address.to_sockaddr(storage);
  Fd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int one = 1;
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) return fail(Code::kSystem, "socket", errno);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) return fail(Code::kSystem, "bind", errno);
  if (::listen(fd.get(), kListenBacklog) != 0) return fail(Code::kSystem, "listen", errno);
  return fd;
}

Result<Fd> listen_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(Code::kMalformed, "path too long for a Unix socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Code::kSystem, "socket", errno);
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return fail(Code::kSystem, "bind", errno);
  if (::chmod(path.c_str(), 0600) != 0) return fail(Code::kSystem, "chmod", errno);
  if (::listen(fd.get(), kListenBacklog) != 0) return fail(Code::kSystem, "listen", errno);
  return fd;
}

}  // namespace weft::agent
