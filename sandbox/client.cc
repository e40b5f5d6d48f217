#include "sandbox/client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "sandbox/json.h"

namespace weft::sandbox {

Fd dial_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return {};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return {};
  return fd;
}

Parsed<Json> call(const std::string& path, const Json& request, Clock::duration timeout) {
  const Fd fd = dial_unix(path);
  if (!fd) return problem(fmt::format("nobody answers at {}: {}", path, std::strerror(errno)));
  const auto line = request.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (std::size_t at = 0; at < line.size();) {
    const auto n = send(fd.get(), line.data() + at, line.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return problem(fmt::format("{} hung up: {}", path, std::strerror(errno)));
    at += static_cast<std::size_t>(n);
  }
  const auto deadline = Deadline::after(Clock::now(), timeout);
  std::string answer;
  while (answer.find('\n') == std::string::npos) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline.at - Clock::now()).count();
    pollfd wait{fd.get(), POLLIN, 0};
    if (left <= 0 || poll(&wait, 1, static_cast<int>(left)) == 0)
      return problem(fmt::format("no answer from {} in time", path));
    char chunk[16384];
    const auto n = recv(fd.get(), chunk, sizeof chunk, 0);
    if (n <= 0) break;
    answer.append(chunk, static_cast<std::size_t>(n));
  }
  auto value = Json::parse(answer, nullptr, false);
  if (value.is_discarded())
    return problem(fmt::format("the answer from {} is no JSON: {}", path, answer.substr(0, 100)));
  if (const auto* error = at(value, {"error"});
      error != nullptr && error->is_string() && !error->get<std::string>().empty()) {
    return problem(error->get<std::string>());
  }
  return value;
}

}  // namespace weft::sandbox
