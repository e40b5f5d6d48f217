// Addresses as values: IpAddress, SocketAddress, Cidr. v4-mapped v6 is always stored as v4, so equality is identity.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

class IpAddress {
 public:
  IpAddress() = default;  // unset: neither v4 nor v6
  static IpAddress v4(std::array<std::uint8_t, 4> octets);
  static IpAddress v6(std::array<std::uint8_t, 16> octets);  // canonicalises ::ffff:a.b.c.d to v4
  // 4 or 16 bytes in network order, else nullopt.
  static std::optional<IpAddress> from_bytes(std::span<const std::uint8_t> bytes);
  // "10.0.0.1", "fd00::1"; no brackets, no zone, no port.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_set() const { return family_ != 0; }
  bool is_v4() const { return family_ == 4; }
  bool is_v6() const { return family_ == 6; }
  bool is_loopback() const;
  // 4 or 16 bytes, network order.
  std::span<const std::uint8_t> bytes() const { return {bytes_.data(), is_v4() ? 4u : is_v6() ? 16u : 0u}; }
  // 16 bytes; v4 as ::ffff:a.b.c.d. This is the form used in BPF map keys.
  std::array<std::uint8_t, 16> mapped() const;
  std::string str() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  std::uint8_t family_ = 0;  // 0, 4 or 6
};

struct SocketAddress {
  IpAddress ip;
  std::uint16_t port = 0;  // host order

  // "10.0.0.1:80", "[fd00::1]:80".
  static std::optional<SocketAddress> parse(std::string_view text);
  static std::optional<SocketAddress> from_sockaddr(const sockaddr* address, socklen_t length);
  // Fills `out`; `family` AF_INET6 gives v4 as v4-mapped, AF_UNSPEC the native family. Returns the length.
  socklen_t to_sockaddr(sockaddr_storage& out, int family = AF_UNSPEC) const;
  std::string str() const;

  auto operator<=>(const SocketAddress&) const = default;
};

struct Cidr {
  IpAddress base;          // host bits are zero
  std::uint8_t length = 0;  // prefix bits in base's own family

  // "10.0.0.0/8", "fd00::/64", or a bare address (full length).
  static std::optional<Cidr> parse(std::string_view text);
  static std::optional<Cidr> of(const IpAddress& address, unsigned length);
  bool contains(const IpAddress& address) const;
  std::string str() const;

  auto operator<=>(const Cidr&) const = default;
};

// The servers that a resolv.conf names, in its order; a line that is not understood is passed over,
// as the resolver does.
std::vector<IpAddress> nameservers(std::string_view resolv_conf);

}  // namespace weft

template <>
struct std::hash<weft::IpAddress> {
  std::size_t operator()(const weft::IpAddress& ip) const noexcept;
};
template <>
struct std::hash<weft::SocketAddress> {
  std::size_t operator()(const weft::SocketAddress& address) const noexcept;
};
