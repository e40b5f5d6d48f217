#include "base/net.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace weft {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <class Int>
std::optional<Int> parse_int(std::string_view text, Int max) {
  unsigned long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  if (value > static_cast<unsigned long>(max)) return std::nullopt;
  return static_cast<Int>(value);
}

}  // namespace

IpAddress IpAddress::v4(std::array<std::uint8_t, 4> octets) {
  IpAddress ip;
  std::copy(octets.begin(), octets.end(), ip.bytes_.begin());
  ip.family_ = 4;
  return ip;
}

IpAddress IpAddress::v6(std::array<std::uint8_t, 16> octets) {
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), octets.begin())) {
    return v4({octets[12], octets[13], octets[14], octets[15]});
  }
  IpAddress ip;
  ip.bytes_ = octets;
  ip.family_ = 6;
  return ip;
}

std::optional<IpAddress> IpAddress::from_bytes(std::span<const std::uint8_t> bytes) {
  if (bytes.size() == 4) return v4({bytes[0], bytes[1], bytes[2], bytes[3]});
  if (bytes.size() != 16) return std::nullopt;
  std::array<std::uint8_t, 16> octets;
  std::copy(bytes.begin(), bytes.end(), octets.begin());
  return v6(octets);
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char copy[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof copy) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  std::array<std::uint8_t, 4> four;
  if (inet_pton(AF_INET, copy, four.data()) == 1) return v4(four);
  std::array<std::uint8_t, 16> sixteen;
  if (inet_pton(AF_INET6, copy, sixteen.data()) == 1) return v6(sixteen);
  return std::nullopt;
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  if (!is_v6()) return false;
  return std::all_of(bytes_.begin(), bytes_.end() - 1, [](auto b) { return b == 0; }) && bytes_[15] == 1;
}

std::array<std::uint8_t, 16> IpAddress::mapped() const {
  if (is_v6()) return bytes_;
  std::array<std::uint8_t, 16> out{};
  if (!is_v4()) return out;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), out.begin());
  std::copy(bytes_.begin(), bytes_.begin() + 4, out.begin() + 12);
  return out;
}

std::string IpAddress::str() const {
  if (!is_set()) return "unset";
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

std::optional<SocketAddress> SocketAddress::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) return std::nullopt;
  const auto ip = IpAddress::parse(host);
  const auto port = parse_int<std::uint16_t>(text.substr(colon + 1), 65535);
  if (!ip || !port) return std::nullopt;
  return SocketAddress{*ip, *port};
}

std::optional<SocketAddress> SocketAddress::from_sockaddr(const sockaddr* address, socklen_t length) {
  if (length >= sizeof(sockaddr_in) && address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    std::array<std::uint8_t, 4> octets;
    std::memcpy(octets.data(), &in.sin_addr, 4);
    return SocketAddress{IpAddress::v4(octets), ntohs(in.sin_port)};
  }
  if (length >= sizeof(sockaddr_in6) && address->sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof in);
    std::array<std::uint8_t, 16> octets;
    std::memcpy(octets.data(), &in.sin6_addr, 16);
    return SocketAddress{IpAddress::v6(octets), ntohs(in.sin6_port)};
  }
  return std::nullopt;
}

socklen_t SocketAddress::to_sockaddr(sockaddr_storage& out, int family) const {
  std::memset(&out, 0, sizeof out);
  if (ip.is_v4() && family != AF_INET6) {
    auto* in = reinterpret_cast<sockaddr_in*>(&out);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    std::memcpy(&in->sin_addr, ip.bytes().data(), 4);
    return sizeof *in;
  }
  auto* in = reinterpret_cast<sockaddr_in6*>(&out);
  in->sin6_family = AF_INET6;
  in->sin6_port = htons(port);
  const auto bytes = ip.mapped();
  std::memcpy(&in->sin6_addr, bytes.data(), 16);
  return sizeof *in;
}

std::string SocketAddress::str() const {
  const auto host = ip.str();
  return (ip.is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto ip = IpAddress::parse(text.substr(0, slash));
  if (!ip) return std::nullopt;
  const std::uint8_t full = ip->is_v4() ? 32 : 128;
  if (slash == std::string_view::npos) return Cidr{*ip, full};
  const auto length = parse_int<std::uint8_t>(text.substr(slash + 1), full);
  if (!length) return std::nullopt;
  return of(*ip, *length);
}

std::optional<Cidr> Cidr::of(const IpAddress& address, unsigned length) {
  if (!address.is_set() || length > address.bytes().size() * 8) return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  const auto from = address.bytes();
  std::copy(from.begin(), from.end(), bytes.begin());
  for (std::size_t i = 0; i < from.size(); ++i) {
    const int keep = std::clamp<int>(static_cast<int>(length) - static_cast<int>(i * 8), 0, 8);
    bytes[i] &= static_cast<std::uint8_t>(0xff00u >> keep);
  }
  const auto base = IpAddress::from_bytes(std::span(bytes).first(from.size()));
  return Cidr{*base, static_cast<std::uint8_t>(length)};
}

bool Cidr::contains(const IpAddress& address) const {
  if (address.is_v4() != base.is_v4() || !address.is_set()) return false;
  const auto masked = of(address, length);
  return masked && masked->base == base;
}

std::string Cidr::str() const { return base.str() + "/" + std::to_string(length); }

std::vector<IpAddress> nameservers(std::string_view resolv_conf) {
  constexpr std::string_view kSpace = " \t\r";
  constexpr std::string_view kWord = "nameserver";
  std::vector<IpAddress> found;
  while (!resolv_conf.empty()) {
    std::string_view line = resolv_conf.substr(0, resolv_conf.find('\n'));
    resolv_conf.remove_prefix(std::min(resolv_conf.size(), line.size() + 1));
    if (!line.starts_with(kWord)) continue;
    line.remove_prefix(kWord.size());
    const std::size_t begin = line.find_first_not_of(kSpace);
    if (begin == 0 || begin == std::string_view::npos) continue;
    line.remove_prefix(begin);
    if (const auto ip = IpAddress::parse(line.substr(0, line.find_first_of(kSpace))))
      found.push_back(*ip);
  }
  return found;
}

}  // namespace weft

std::size_t std::hash<weft::IpAddress>::operator()(const weft::IpAddress& ip) const noexcept {
  std::uint64_t halves[2];
  const auto bytes = ip.mapped();
  std::memcpy(halves, bytes.data(), sizeof halves);
  std::uint64_t h = (halves[0] ^ 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
  h = (h ^ (h >> 32) ^ halves[1]) * 0xc4ceb9fe1a85ec53ull;
  return h ^ (h >> 29);
}

std::size_t std::hash<weft::SocketAddress>::operator()(const weft::SocketAddress& a) const noexcept {
  const std::uint64_t h = (std::hash<weft::IpAddress>()(a.ip) ^ a.port) * 0xff51afd7ed558ccdull;
  return h ^ (h >> 32);
}
