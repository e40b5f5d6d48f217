#include "sandbox/probe_call.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <nghttp2/nghttp2.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/fd.h"
#include "base/net.h"
#include "sandbox/json.h"

namespace weft::sandbox {
namespace {

Fd dial(const std::string& address, int port, int timeout_ms) {
  const auto ip = IpAddress::parse(address);
  if (!ip) return {};
  sockaddr_storage storage;
  const auto length = SocketAddress{*ip, static_cast<std::uint16_t>(port)}.to_sockaddr(storage);
  Fd fd(socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {};
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) == 0) return fd;
  if (errno != EINPROGRESS) return {};
  pollfd wait{fd.get(), POLLOUT, 0};
  if (poll(&wait, 1, timeout_ms) != 1) return {};
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? std::move(fd) : Fd();
}

// A connection as OpenSSL's BIO, plain or with TLS, blocking, each step at most `timeout_ms`.
class Wire {
 public:
  Wire(const std::string& address, int port, bool tls, int timeout_ms)
      : fd_(dial(address, port, timeout_ms)) {
    const timeval wait{timeout_ms / 1000, timeout_ms % 1000 * 1000};
    if (!fd_ || fcntl(fd_.get(), F_SETFL, 0) != 0) return;
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    bio_.reset(BIO_new_socket(fd_.get(), BIO_NOCLOSE));
    if (!tls) return;
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
    bio_.reset(BIO_push(BIO_new_ssl(context_.get(), 1), bio_.release()));
  }
  bool valid() const { return bio_ != nullptr; }
  bool write(std::string_view bytes) {
    return BIO_write(bio_.get(), bytes.data(), static_cast<int>(bytes.size())) ==
           static_cast<int>(bytes.size());
  }
  // Appends what came; false: nothing will.
  bool read(std::string& into) {
    std::array<char, 4096> chunk;
    const int n = BIO_read(bio_.get(), chunk.data(), chunk.size());
    if (n > 0) into.append(chunk.data(), static_cast<std::size_t>(n));
    return n > 0;
  }

 private:
  struct Free {
    void operator()(BIO* bio) const { BIO_free_all(bio); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  Fd fd_;
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<BIO, Free> bio_;
};

// One call of grpc.health.v1.Health/Check: what is to be sent, and what came.
struct HealthCall {
  std::string request;  // a length-prefixed HealthCheckRequest
  std::size_t sent = 0;
  std::string reply, grpc_status;
  bool closed = false;

  static HealthCall& of(void* user) { return *static_cast<HealthCall*>(user); }
  bool serving() const {
    constexpr std::string_view kServing("\x00\x00\x00\x00\x02\x08\x01", 7);
    return closed && grpc_status == "0" && reply == kServing;
  }
};

ssize_t read_request(nghttp2_session*, std::int32_t, std::uint8_t* buffer, std::size_t length,
                     std::uint32_t* flags, nghttp2_data_source* source, void*) {
  auto& call = HealthCall::of(source->ptr);
  const auto n = std::min(length, call.request.size() - call.sent);
  call.request.copy(reinterpret_cast<char*>(buffer), n, call.sent);
  call.sent += n;
  if (call.sent == call.request.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(n);
}

struct Nghttp2Free {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  void operator()(nghttp2_session_callbacks* callbacks) const {
    nghttp2_session_callbacks_del(callbacks);
  }
};
using Session = std::unique_ptr<nghttp2_session, Nghttp2Free>;

Session make_session(HealthCall& call) {
  nghttp2_session_callbacks* raw = nullptr;
  nghttp2_session_callbacks_new(&raw);
  const std::unique_ptr<nghttp2_session_callbacks, Nghttp2Free> callbacks(raw);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      raw, [](nghttp2_session*, std::uint8_t, std::int32_t, const std::uint8_t* data,
              std::size_t length, void* user) {
        HealthCall::of(user).reply.append(reinterpret_cast<const char*>(data), length);
        return 0;
      });
  nghttp2_session_callbacks_set_on_header_callback(
      raw, [](nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name, std::size_t names,
              const std::uint8_t* value, std::size_t values, std::uint8_t, void* user) {
        if (std::string_view(reinterpret_cast<const char*>(name), names) == "grpc-status")
          HealthCall::of(user).grpc_status.assign(reinterpret_cast<const char*>(value), values);
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      raw, [](nghttp2_session*, std::int32_t, std::uint32_t, void* user) {
        HealthCall::of(user).closed = true;
        return 0;
      });
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new(&session, raw, &call);
  return Session(session);
}

bool send_pending(nghttp2_session* session, Wire& wire) {
  const std::uint8_t* bytes = nullptr;
  for (;;) {
    const auto n = nghttp2_session_mem_send(session, &bytes);
    if (n <= 0) return n == 0;
    if (!wire.write({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n)}))
      return false;
  }
}

void submit(nghttp2_session* session, HealthCall& call, const std::string& authority) {
  const auto header = [](std::string_view name, std::string_view value) {
    return nghttp2_nv{
        const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(name.data())),
        const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(value.data())), name.size(),
        value.size(), NGHTTP2_NV_FLAG_NONE};
  };
  const std::array headers = {header(":method", "POST"),
                              header(":scheme", "http"),
                              header(":path", "/grpc.health.v1.Health/Check"),
                              header(":authority", authority),
                              header("content-type", "application/grpc"),
                              header("te", "trailers"),
                              header("user-agent", "kube-probe/1.34")};
  nghttp2_data_provider body{.source = {.ptr = &call}, .read_callback = read_request};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  nghttp2_submit_request(session, nullptr, headers.data(), headers.size(), &body, nullptr);
}

std::string authority_of(const std::string& address, int port) {
  const bool v6 = address.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", address, v6 ? "]" : "", port);
}

}  // namespace

int tcp_connect(const std::string& address, int port, int timeout_ms) {
  return dial(address, port, timeout_ms) ? 0 : 1;
}

int http_get(const HttpProbe& probe, const Json& headers, int timeout_ms) {
  Wire wire(probe.address, probe.port, probe.tls, timeout_ms);
  if (!wire.valid()) return 1;
  std::string host = authority_of(probe.address, probe.port), extra;
  for (const auto& header : headers) {
    const auto name = str(header, {"name"});
    if (name == "Host")
      host = str(header, {"value"});
    else
      extra += name + ": " + str(header, {"value"}) + "\r\n";
  }
  if (!wire.write(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kube-probe/1.34\r\n"
                              "Accept: */*\r\nConnection: close\r\n{}\r\n",
                              probe.path, host, extra)))
    return 1;
  std::string answer;
  while (answer.size() < 12) {
    if (!wire.read(answer)) return 1;
  }
  if (!answer.starts_with("HTTP/1.")) return 1;
  const auto status = answer.substr(9, 3);
  return status >= "200" && status < "400" ? 0 : 1;
}

int grpc_check(const std::string& address, int port, const std::string& service, int timeout_ms) {
  constexpr std::size_t kServiceMax = 127;  // its length is one byte on the wire
  if (service.size() > kServiceMax) return 1;
  Wire wire(address, port, false, timeout_ms);
  if (!wire.valid()) return 1;
  std::string message;
  if (!service.empty())
    message = fmt::format("\x0a{}{}", static_cast<char>(service.size()), service);
  HealthCall call{.request = std::string(4, '\0') + static_cast<char>(message.size()) + message};
  const auto session = make_session(call);
  submit(session.get(), call, authority_of(address, port));
  while (send_pending(session.get(), wire) && !call.closed) {
    std::string bytes;
    if (!wire.read(bytes)) return 1;
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    if (nghttp2_session_mem_recv(session.get(), data, bytes.size()) < 0) return 1;
  }
  return call.serving() ? 0 : 1;
}

}  // namespace weft::sandbox
