// Exchange: a small server of requests and answers on the reactor: HTTP GET (metrics, readiness) and JSON lines (the API socket).
// Everything a stranger can make it spend is bounded: connections, bytes of a request, time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "agent/reactor.h"
#include "base/fd.h"
#include "base/net.h"

namespace weft::agent {

class Exchange {
 public:
  static constexpr std::size_t kConnectionsMax = 32;  // the oldest makes room: whoever says nothing keeps nobody out
  static constexpr std::size_t kRequestMax = 8192;
  static constexpr auto kPatience = std::chrono::seconds(10);

  // A request up to and without its `end`; gives the whole answer.
  using Handler = std::function<std::string(std::string_view request)>;

  // One answer a connection when `once`, else as many as are asked for.
  Exchange(Reactor& reactor, Fd listener, std::string end, bool once, Handler handler);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

 private:
  struct Peer {
    Fd fd;
    std::string in;
    std::string out;
    bool finishing = false;  // closed as soon as `out` is sent
    std::uint64_t timer = 0;
    std::uint64_t number = 0;  // in the order of arrival
  };

  void accept_one();
  void close_oldest();
  void serve(int fd);
  bool receive(Peer& peer);
  void answer(Peer& peer);
  bool flush(Peer& peer);
  void close(int fd);

  Reactor& reactor_;
  const Fd listener_;
  const std::string end_;
  const bool once_;
  const Handler handler_;
  std::map<int, Peer> peers_;
  std::uint64_t arrived_ = 0;
};

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};
// Answers GET and HEAD of the paths that `get` knows (status 404 otherwise), for Exchange with end "\r\n\r\n" and `once`.
Exchange::Handler http_handler(std::function<HttpAnswer(std::string_view path)> get);

// Listening stream sockets. Errors: kSystem.
Result<Fd> listen_tcp(const SocketAddress& address);
Result<Fd> listen_unix(const std::string& path);  // mode 0600; what stood there is removed

}  // namespace weft::agent
