#include "ztunnel/proxy/proxy_protocol.h"

#include <array>
#include <span>

#include "base/assert.h"

namespace weft::proxy {
namespace {

constexpr std::array<std::uint8_t, 12> kSignature = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
constexpr std::uint8_t kVersion2Proxy = 0x21;
constexpr std::uint8_t kTcp4 = 0x11, kTcp6 = 0x21;
constexpr std::size_t kTlvHead = 3;  // type, length

struct Writer {
  std::vector<std::byte>& out;
  void u8(std::uint8_t value) { out.push_back(std::byte{value}); }
  void u16(std::size_t value) {
    WEFT_ASSERT(value <= 0xffff);
    u8(static_cast<std::uint8_t>(value >> 8));
    u8(static_cast<std::uint8_t>(value & 0xff));
  }
  void bytes(std::span<const std::uint8_t> values) {
    for (const auto value : values) u8(value);
  }
  void ip(const IpAddress& address, bool v4) {
    if (v4) return bytes(address.bytes());
    bytes(address.mapped());
  }
};

}  // namespace

std::vector<std::byte> proxy_header(const SocketAddress& client, const SocketAddress& destination, const mesh::Identity& identity) {
  WEFT_ASSERT(client.ip.is_set());
  WEFT_ASSERT(destination.ip.is_set());
  const bool v4 = client.ip.is_v4() && destination.ip.is_v4();
  const std::string name = identity.str();
  const std::size_t addresses = v4 ? 12 : 36;
  const std::size_t length = addresses + kTlvHead + name.size();
  std::vector<std::byte> out;
  out.reserve(kSignature.size() + 4 + length);
  Writer writer{out};
  writer.bytes(kSignature);
  writer.u8(kVersion2Proxy);
  writer.u8(v4 ? kTcp4 : kTcp6);
  writer.u16(length);
  writer.ip(client.ip, v4);
  writer.ip(destination.ip, v4);
  writer.u16(client.port);
  writer.u16(destination.port);
  writer.u8(kTlvIdentity);
  writer.u16(name.size());
  for (const char c : name) writer.u8(static_cast<std::uint8_t>(c));
  return out;
}

}  // namespace weft::proxy
