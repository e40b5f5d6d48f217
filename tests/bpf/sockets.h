// Real sockets with short waits: what an application and ztunnel would do, one call each.
// Every failure is a negative errno in the int; nothing here waits for more than two seconds.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <functional>
#include <string>

#include "base/fd.h"
#include "base/net.h"

namespace weft::bpf_test {

constexpr int kWaitMs = 2000;

// The family a socket is made with and the form an address takes in it: kMapped is an AF_INET6
// socket with a v4-mapped address.
enum class Form { kV4, kV6, kMapped };
std::string name_of(Form form);
int family_of(Form form);

SocketAddress at(const char* ip, std::uint16_t port);

Fd stream_socket(Form form, int protocol = 0);
Fd datagram_socket(Form form);
// Binds; -errno.
int bind_to(const Fd& fd, const SocketAddress& address, Form form);
// A listener. On "::" dual stack. `opened` is called before the socket is bound.
using Opened = std::function<void(const Fd&)>;
Fd listen_at(const SocketAddress& address, int backlog = 128, const Opened& opened = {});
Fd datagram_at(const SocketAddress& address, const Opened& opened = {});

// Blocking connect bounded by kWaitMs; 0 or -errno (-ETIMEDOUT).
int connect_to(const Fd& fd, const SocketAddress& address, Form form);
// Starts a connect and does not wait for it.
void start_connect(const Fd& fd, const SocketAddress& address, Form form);
// Invalid when nothing came within `wait_ms`. `peer` is what accept() itself said.
Fd accept_from(const Fd& listener, SocketAddress* peer = nullptr, int wait_ms = kWaitMs);

// "10.0.0.1:80", or "errno 107".
std::string peer_of(const Fd& fd);
std::string local_of(const Fd& fd);
// SO_ORIGINAL_DST at level SOL_IP or SOL_IPV6.
std::string original_of(const Fd& fd, int level);

// A line there and back over the two ends.
bool echoes(const Fd& one, const Fd& other);

int send_to(const Fd& fd, std::string_view text, const std::optional<SocketAddress>& to, Form form);
// The text, or "errno 11"; `from` is what recvfrom() said.
std::string receive_from(const Fd& fd, SocketAddress* from = nullptr);

}  // namespace weft::bpf_test
