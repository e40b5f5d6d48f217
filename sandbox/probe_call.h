// One attempt of a probe from the caller's network, at most `timeout_ms`. Each gives an exit code:
// 0 is success. They block; the daemon runs them in a child of their own.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace weft::sandbox {

int tcp_connect(const std::string& address, int port, int timeout_ms);

struct HttpProbe {
  std::string address;
  int port = 0;
  std::string path = "/";
  bool tls = false;  // as a kubelet: nobody's certificate is looked at
};
// GET; 200…399 is success. `headers`: [{name, value}].
int http_get(const HttpProbe& probe, const nlohmann::json& headers, int timeout_ms);

// grpc.health.v1.Health/Check over plaintext HTTP/2; SERVING is success.
int grpc_check(const std::string& address, int port, const std::string& service, int timeout_ms);

}  // namespace weft::sandbox
