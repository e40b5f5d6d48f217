// Client: single requests to an API server, one after the other, over one connection that is kept.
// One owner, one thread; stop() from any.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "source/kube/access.h"

namespace weft::source::kube {

inline constexpr std::size_t kReplyMax = 8u << 20;

struct Call {
  const char* method = "GET";
  std::string path;  // with the query
  std::string body, content_type = "application/json";
  std::chrono::milliseconds limit{5000};  // the whole exchange
};

struct Reply {
  long status = 0;  // 0: no answer
  std::string body;
  std::string error;  // of the transport, when there is no whole answer
  std::chrono::seconds retry_after{0};

  bool ok() const { return error.empty() && status >= 200 && status < 300; }
  // For people: the server's own words where it has any.
  std::string describe() const;
};

class Client {
 public:
  explicit Client(const Access& access);
  ~Client();

  Reply call(const Call& call);
  // Ends a call that is under way, soon, and every later one at once.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weft::source::kube
