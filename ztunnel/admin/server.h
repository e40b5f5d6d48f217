// Server: one listening address, routes by method and path. Main thread; handlers answer at once.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/net.h"
#include "base/result.h"
#include "ztunnel/admin/http.h"
#include "ztunnel/io/scope.h"
#include "ztunnel/io/task.h"

namespace weft::io {
class Loop;
}

namespace weft::admin {

class Server {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;
  static constexpr std::size_t kConnectionsMax =
      64;  // the oldest makes room: whoever says nothing keeps nobody out

  // Binds and listens. Errors: kSystem with errno.
  static Result<std::unique_ptr<Server>> listen(io::Loop& loop, const SocketAddress& address);
  // The same, but where the address is taken run() waits until it is free.
  static Result<std::unique_ptr<Server>> listen_when_free(io::Loop& loop,
                                                          const SocketAddress& address);
  // At a Unix socket; what stood there is removed.
  static Result<std::unique_ptr<Server>> listen_at(io::Loop& loop, const std::string& path);
  ~Server();  // REQUIRES: run() returned, or was never called
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // GET also answers HEAD.
  void route(std::string method, std::string path, Handler handler);

  // Serves until stop().
  io::Task<void> run();
  void stop();
  // False: the address is another process's.
  bool listening() const { return listener_.valid(); }
  // As bound: the port when 0 was asked.
  const SocketAddress& address() const { return address_; }

 private:
  Server(io::Loop& loop, Fd listener, SocketAddress address);
  io::Task<void> wait_for_address();
  io::Spawned serve(io::Scope& scope, Fd connection);
  io::Task<Result<HttpRequest>> read_request(int connection, std::string& refusal);
  HttpResponse answer(const HttpRequest& request) const;

  io::Loop& loop_;
  Fd listener_;
  const SocketAddress address_;
  std::map<std::pair<std::string, std::string>, Handler> routes_;  // path, method
  std::vector<int> open_;                                          // in the order of arrival
  bool stopping_ = false;
};

}  // namespace weft::admin
