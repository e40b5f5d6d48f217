#include "agent/ask.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace weft::agent {
namespace {

Result<Fd> dial(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Code::kMalformed, "a path that no Unix socket can have");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(Code::kSystem, "socket", errno);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail(Code::kUnreachable, "connect", errno);
  return fd;
}

// Milliseconds to `end`, rounded up; 0 when it is over.
int left_ms(Clock::time_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

}  // namespace

Result<std::string> ask_line(const std::string& path, std::string_view question,
                             Clock::duration within, std::size_t most) {
  const auto end = Clock::now() + within;
  auto fd = dial(path);
  if (!fd) return std::unexpected(fd.error());
  // A question is short: it fits an empty socket's buffer.
  const auto sent = ::send(fd->get(), question.data(), question.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(question.size())) return fail(Code::kClosed, "send", errno);
  std::string line;
  std::array<char, 16384> chunk;
  while (line.size() <= most) {
    pollfd waiting{fd->get(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, left_ms(end));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(Code::kTimedOut, "answer");
    const auto got = ::recv(fd->get(), chunk.data(), chunk.size(), 0);
    if (got <= 0) return fail(Code::kClosed, "answer", got < 0 ? errno : 0);
    line.append(chunk.data(), static_cast<std::size_t>(got));
    const auto at = line.find('\n');
    if (at == std::string::npos) continue;
    line.resize(at > 0 && line[at - 1] == '\r' ? at - 1 : at);
    return line;
  }
  return fail(Code::kMalformed, "an answer of more than a line");
}

Parsed<void> ask_readiness(const std::string& path, Clock::duration within) {
  const auto line = ask_line(path, "GET /healthz/ready HTTP/1.1\r\nhost: weft\r\n\r\n", within);
  if (!line) return problem(fmt::format("{}: {}", path, describe(line.error())));
  if (!line->starts_with("HTTP/1.1 200 ")) return problem(fmt::format("not ready: {}", *line));
  return {};
}

}  // namespace weft::agent
