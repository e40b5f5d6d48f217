// JsonSocket: one JSON request line in, one JSON reply line out; `GET /NAME` gets the reply to
// {"cmd":"NAME"} over HTTP/1. Unix socket (0600) or TCP. One owner, one thread: the owner polls the
// descriptors and calls turn().
#pragma once

#include <poll.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace weft::controlplane::api {

// Request text (one JSON object) → reply (one line, no newline). `trusted`: it came as a line on a
// Unix socket, whose file only the owner may open; commands that change or give away anything need
// it.
using Answer = std::function<std::string(const std::string& request, bool trusted)>;

class JsonSocket {
 public:
  static constexpr std::size_t kRequestBytesMax = 64 * 1024;
  static constexpr std::size_t kClientsMax = 64;
  static constexpr auto kIdleMax = std::chrono::seconds(30);

  static Parsed<std::unique_ptr<JsonSocket>> open(const std::string& address, Answer answer);
  ~JsonSocket();

  void interest(std::vector<pollfd>& out) const;
  // Call after each poll: accepts, reads, answers, writes; never blocks.
  void turn();

 private:
  struct Client {
    Fd fd;
    std::string in, out;
    bool closing = false;  // when `out` is written
    Clock::time_point last;
  };
  explicit JsonSocket(Answer answer) : answer_(std::move(answer)) {}
  bool serve(Client& client);
  void answer(Client& client);

  Answer answer_;
  Fd listener_;
  std::string path_;  // of a Unix socket, removed at the end
  std::map<int, Client> clients_;
};

}  // namespace weft::controlplane::api
