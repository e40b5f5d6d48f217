// Sockets: what an accepted or unconnected socket can tell and be told, as system calls; a seam so
// that SimLoop's sockets can answer. Stateless; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/net.h"
#include "base/result.h"

namespace weft::proxy {

class Sockets {
 public:
  virtual ~Sockets() = default;
  static Sockets& kernel();

  // Of a socket accepted on 15001: where the application wanted to go. Plain SO_ORIGINAL_DST, v4 or
  // v6, answered by BPF or netfilter; kNotFound when nobody answers (a direct connection to 15001:
  // refuse it).
  virtual Result<SocketAddress> original_destination(int fd) = 0;
  virtual Result<SocketAddress> local(
      int fd) = 0;  // of a socket steered to 15006 or accepted on 15008: the original destination
  virtual Result<SocketAddress> peer(int fd) = 0;
  // Before connect() to the application at `app`: it shall see `client`. The source becomes an
  // address of 127.0.0.0/8 (`spread` picks it: one loopback address runs out of ports at rate) or,
  // with IPv6, `app`'s own. kUnsupported when BPF does not answer WEFT_SO_CLIENT.
  virtual Result<void> deliver_as(int fd, const SocketAddress& client, const SocketAddress& app,
                                  std::uint32_t spread) = 0;
  // The same without showing a client: the application learns it from a header.
  virtual Result<void> deliver_from_pod(int fd, const SocketAddress& app, std::uint32_t spread) = 0;

  // Datagrams, never blocking: kSystem with os=EAGAIN when nothing is there.
  virtual Result<std::size_t> receive_from(int fd, std::span<std::byte> buffer,
                                           SocketAddress& from) = 0;
  virtual Result<void> send_to(int fd, std::span<const std::byte> datagram,
                               const SocketAddress& to) = 0;
};

}  // namespace weft::proxy
