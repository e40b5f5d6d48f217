#include "ztunnel/admin/server.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "ztunnel/io/loop.h"
#include "ztunnel/io/ops.h"

namespace weft::admin {
namespace {
constexpr auto kRequestWait = std::chrono::seconds(5);
constexpr auto kResponseWait = std::chrono::seconds(10);
constexpr auto kBusyPause = std::chrono::milliseconds(50);
constexpr auto kTryAddress = std::chrono::milliseconds(100);
constexpr int kBacklog = 64;

Result<Fd> bind_to(const SocketAddress& address) {
  Fd listener(::socket(address.ip.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener) return fail(Code::kSystem, "socket", errno);
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_storage raw{};
  const socklen_t length = address.to_sockaddr(raw);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&raw), length) != 0) return fail(Code::kSystem, "bind", errno);
  if (::listen(listener.get(), kBacklog) != 0) return fail(Code::kSystem, "listen", errno);
  return listener;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(io::Loop& loop, const SocketAddress& address) {
  auto listener = bind_to(address);
  if (!listener) return std::unexpected(listener.error());
  sockaddr_storage raw{};
  socklen_t length = sizeof(raw);
  ::getsockname(listener->get(), reinterpret_cast<sockaddr*>(&raw), &length);
  const auto bound = SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), length);
  return std::unique_ptr<Server>(new Server(loop, *std::move(listener), bound.value_or(address)));
}

Result<std::unique_ptr<Server>> Server::listen_when_free(io::Loop& loop,
                                                         const SocketAddress& address) {
  auto now = listen(loop, address);
  if (now || now.error().os != EADDRINUSE) return now;
  return std::unique_ptr<Server>(new Server(loop, Fd(), address));
}

Result<std::unique_ptr<Server>> Server::listen_at(io::Loop& loop, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return fail(Code::kSystem, "path", ENAMETOOLONG);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener) return fail(Code::kSystem, "socket", errno);
  ::unlink(path.c_str());
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return fail(Code::kSystem, "bind", errno);
  if (::listen(listener.get(), kBacklog) != 0) return fail(Code::kSystem, "listen", errno);
  return std::unique_ptr<Server>(new Server(loop, std::move(listener), {}));
}

Server::Server(io::Loop& loop, Fd listener, SocketAddress address)
    : loop_(loop), listener_(std::move(listener)), address_(address) {}

Server::~Server() { WEFT_ASSERT(open_.empty()); }

void Server::route(std::string method, std::string path, Handler handler) {
  routes_[{std::move(path), std::move(method)}] = std::move(handler);
}

io::Task<void> Server::wait_for_address() {
  while (!stopping_ && !listener_) {
    auto listener = bind_to(address_);
    if (listener)
      listener_ = *std::move(listener);
    else
      co_await io::sleep_for(loop_, kTryAddress);
  }
}

io::Task<void> Server::run() {
  io::Scope connections;
  co_await wait_for_address();
  while (!stopping_) {
    auto accepted = co_await io::accept(loop_, listener_.get());
    if (stopping_) break;
    if (!accepted) {
      co_await io::sleep_for(loop_, kBusyPause);  // out of descriptors: they come back
      continue;
    }
    if (open_.size() >= kConnectionsMax) {
      loop_.cancel(open_.front());
      open_.erase(open_.begin());
    }
    serve(connections, *std::move(accepted));
  }
  for (const int fd : open_) loop_.cancel(fd);
  co_await connections.join();
  if (listener_) loop_.close(std::move(listener_));
}

void Server::stop() {
  stopping_ = true;
  if (listener_) loop_.cancel(listener_.get());
}

io::Task<Result<HttpRequest>> Server::read_request(int connection, std::string& refusal) {
  const Deadline deadline = loop_.in(kRequestWait);
  std::string bytes;
  std::size_t head = std::string::npos;
  std::array<std::byte, 4096> block;
  HttpRequest request;
  for (;;) {
    if (head == std::string::npos) {
      head = bytes.find("\r\n\r\n");
      if (head != std::string::npos) {
        auto parsed = parse_head(std::string_view(bytes).substr(0, head + 4));
        if (!parsed) {
          refusal = parsed.error().text;
          co_return fail(Code::kMalformed, "http");
        }
        request = *std::move(parsed);
      } else if (bytes.size() > kHeadMax) {
        refusal = "a request head that is too long";
        co_return fail(Code::kMalformed, "http");
      }
    }
    if (head != std::string::npos && bytes.size() >= head + 4 + request.content_length) break;
    auto got = co_await io::recv_some(loop_, connection, block, deadline);
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return fail(Code::kClosed, "http");
    bytes.append(reinterpret_cast<const char*>(block.data()), *got);
  }
  request.body = bytes.substr(head + 4, request.content_length);
  co_return request;
}

io::Spawned Server::serve(io::Scope&, Fd connection) {
  const int fd = connection.get();
  open_.push_back(fd);
  std::string refusal;
  auto request = co_await read_request(fd, refusal);
  if (request || !refusal.empty()) {
    const auto response = request ? answer(*request) : HttpResponse{.status = 400, .body = refusal + "\n"};
    const std::string bytes = format_response(response, request && request->method == "HEAD");
    const auto view = std::as_bytes(std::span(bytes));
    const auto sent = co_await io::send_all(loop_, fd, view, loop_.in(kResponseWait));
    if (sent) loop_.shutdown_write(fd);
  }
  std::erase(open_, fd);
  loop_.close(std::move(connection));
}

HttpResponse Server::answer(const HttpRequest& request) const {
  const auto& method = request.method == "HEAD" ? std::string("GET") : request.method;
  const auto it = routes_.find({request.path, method});
  if (it != routes_.end()) return it->second(request);
  const auto other = routes_.lower_bound({request.path, ""});
  if (other != routes_.end() && other->first.first == request.path) {
    return {.status = 405, .body = "use " + other->first.second + "\n"};
  }
  return {.status = 404, .body = "not found\n"};
}

}  // namespace weft::admin
