#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "sandbox/api.h"

namespace weft::sandbox {
namespace {

constexpr std::size_t kRequestBytesMax = 64 << 20;

struct Connection {
  Fd fd;
  std::string in, out;
};

void write_some(Loop& loop, const std::shared_ptr<Connection>& c) {
  while (!c->out.empty()) {
    const auto n = send(c->fd.get(), c->out.data(), c->out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      c->out.erase(0, static_cast<std::size_t>(n));
      continue;
    }
    if (n < 0 && errno == EAGAIN) {
      loop.watch(c->fd.get(), POLLOUT, [&loop, c](short) { write_some(loop, c); });
      return;
    }
    break;
  }
  loop.unwatch(c->fd.get());  // one request a connection
  c->fd.reset();
}

void read_some(Loop& loop, const std::shared_ptr<Connection>& c,
               const std::function<std::string(const std::string&)>& answer) {
  char chunk[65536];
  const auto n = recv(c->fd.get(), chunk, sizeof chunk, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0 || c->in.size() > kRequestBytesMax) {
    loop.unwatch(c->fd.get());
    c->fd.reset();
    return;
  }
  c->in.append(chunk, static_cast<std::size_t>(n));
  const auto end = c->in.find('\n');
  if (end == std::string::npos) return;
  c->out = answer(c->in.substr(0, end)) + "\n";
  write_some(loop, c);
}

}  // namespace

Parsed<void> serve(Loop& loop, const std::string& path,
                   std::function<std::string(const std::string&)> answer) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return problem(fmt::format("{} is too long for a socket", path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  auto listener =
      std::make_shared<Fd>(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto before = umask(0177);
  const bool bound = *listener && bind(listener->get(), reinterpret_cast<sockaddr*>(&address),
                                       sizeof address) == 0;
  umask(before);
  if (!bound || listen(listener->get(), 64) != 0)
    return problem(fmt::format("cannot listen at {}: {}", path, std::strerror(errno)));
  loop.watch(listener->get(), POLLIN, [&loop, listener, answer = std::move(answer)](short) {
    auto c = std::make_shared<Connection>();
    c->fd = Fd(accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!c->fd) return;
    loop.watch(c->fd.get(), POLLIN, [&loop, c, answer](short) { read_some(loop, c, answer); });
  });
  return {};
}

}  // namespace weft::sandbox
