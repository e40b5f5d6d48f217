#include "controlplane/api/socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/net.h"

namespace weft::controlplane::api {
namespace {

Problem failed(const std::string& address) {
  return {"cannot listen on " + address + ": " + std::strerror(errno)};
}

// "GET /status HTTP/1.1" → "status".
std::optional<std::string> http_command(const std::string& line) {
  constexpr std::string_view kGet = "GET /";
  if (!line.starts_with(kGet)) return std::nullopt;
  const std::size_t end = line.find_first_of(" ?", kGet.size());
  const std::string command =
      line.substr(kGet.size(), end == std::string::npos ? std::string::npos : end - kGet.size());
  if (command.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") != std::string::npos)
    return std::nullopt;
  return command;
}

}  // namespace

Parsed<std::unique_ptr<JsonSocket>> JsonSocket::open(const std::string& address, Answer answer) {
  std::unique_ptr<JsonSocket> socket(new JsonSocket(std::move(answer)));
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (const auto tcp = SocketAddress::parse(address)) {
    length = tcp->to_sockaddr(storage);
  } else {
    auto* local = reinterpret_cast<sockaddr_un*>(&storage);
    if (address.size() >= sizeof local->sun_path)
      return problem(address + ": the path is too long for a socket");
    local->sun_family = AF_UNIX;
    std::memcpy(local->sun_path, address.c_str(), address.size() + 1);
    length = sizeof *local;
    struct stat status{};
    if (::lstat(address.c_str(), &status) == 0 && S_ISSOCK(status.st_mode))
      ::unlink(address.c_str());
    socket->path_ = address;
  }
  socket->listener_.reset(
      ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket->listener_) return std::unexpected(failed(address));
  const int on = 1;
  ::setsockopt(socket->listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const mode_t before = ::umask(0177);
  const bool bound =
      ::bind(socket->listener_.get(), reinterpret_cast<sockaddr*>(&storage), length) == 0;
  ::umask(before);
  if (!bound || ::listen(socket->listener_.get(), 16) != 0) {
    socket->path_.clear();
    return std::unexpected(failed(address));
  }
  return socket;
}

JsonSocket::~JsonSocket() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

void JsonSocket::interest(std::vector<pollfd>& out) const {
  out.push_back({.fd = listener_.get(), .events = POLLIN});
  for (const auto& [fd, client] : clients_) {
    out.push_back({.fd = fd, .events = static_cast<short>(client.out.empty() ? POLLIN : POLLOUT)});
  }
}

void JsonSocket::turn() {
  for (;;) {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) break;
    if (clients_.size() >= kClientsMax) continue;  // closed at once
    const int number = fd.get();
    clients_[number] = {.fd = std::move(fd), .last = Clock::now()};
  }
  for (auto client = clients_.begin(); client != clients_.end();) {
    client = serve(client->second) ? std::next(client) : clients_.erase(client);
  }
}

// False: the connection is over.
bool JsonSocket::serve(Client& client) {
  const auto now = Clock::now();
  while (client.out.empty() && !client.closing) {
    char buffer[8192];
    const ssize_t got = ::recv(client.fd.get(), buffer, sizeof buffer, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (got < 0) break;
    client.last = now;
    client.in.append(buffer, static_cast<std::size_t>(got));
    answer(client);
    if (client.in.size() > kRequestBytesMax) return false;
  }
  while (!client.out.empty()) {
    const ssize_t sent =
        ::send(client.fd.get(), client.out.data(), client.out.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    client.last = now;
    client.out.erase(0, static_cast<std::size_t>(sent));
  }
  if (client.closing && client.out.empty()) return false;
  return now - client.last < kIdleMax;
}

void JsonSocket::answer(Client& client) {
  for (;;) {
    const std::size_t end = client.in.find('\n');
    if (end == std::string::npos) return;
    std::string line = client.in.substr(0, end);
    if (line.ends_with('\r')) line.pop_back();
    if (const auto command = http_command(line)) {
      if (client.in.find("\r\n\r\n") == std::string::npos &&
          client.in.find("\n\n") == std::string::npos)
        return;
      const std::string body = answer_("{\"cmd\":\"" + *command + "\"}", false) + "\n";
      client.out +=
          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: "
          "close\r\nContent-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body;
      client.closing = true;
      client.in.clear();
      return;
    }
    client.in.erase(0, end + 1);
    if (!line.starts_with('{')) {  // a browser or a stray client: say so once
      client.out += "{\"error\":\"one JSON object a line\"}\n";
      client.closing = true;
      client.in.clear();
      return;
    }
    client.out += answer_(line, !path_.empty()) + "\n";
  }
}

}  // namespace weft::controlplane::api
