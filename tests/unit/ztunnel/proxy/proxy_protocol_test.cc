#include "ztunnel/proxy/proxy_protocol.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weft::proxy {
namespace {

SocketAddress at(const char* text) { return *SocketAddress::parse(text); }

std::string hex(std::span<const std::byte> bytes) {
  std::string out;
  for (const auto byte : bytes) out += fmt::format("{:02x}", std::to_integer<int>(byte));
  return out;
}

constexpr const char* kSignature = "0d0a0d0a000d0a515549540a";
const mesh::Identity kClient{"cluster.local", "a", "b"};
// d0, 27 bytes, "spiffe://cluster.local/ns/a/sa/b"
constexpr const char* kTlv = "d0" "0020" "7370696666653a2f2f636c75737465722e6c6f63616c2f6e732f612f73612f62";

TEST(ProxyHeader, V4IsTwelveBytesOfAddressesAndTheIdentity) {
  EXPECT_EQ(hex(proxy_header(at("10.244.1.2:40000"), at("10.96.0.50:80"), kClient)),
            std::string(kSignature) + "21" "11" "002f" "0af40102" "0a600032" "9c40" "0050" + kTlv);
}

TEST(ProxyHeader, V6IsThirtySix) {
  EXPECT_EQ(hex(proxy_header(at("[fd00:244:1::2]:40000"), at("[fd00:96::50]:80"), kClient)),
            std::string(kSignature) + "21" "21" "0047" "fd000244000100000000000000000002"
            "fd000096000000000000000000000050" "9c40" "0050" + kTlv);
}

TEST(ProxyHeader, MixedFamiliesAreWrittenAsV6) {
  EXPECT_EQ(hex(proxy_header(at("10.244.1.2:1"), at("[fd00:96::50]:80"), kClient)),
            std::string(kSignature) + "21" "21" "0047" "00000000000000000000ffff0af40102"
            "fd000096000000000000000000000050" "0001" "0050" + kTlv);
}

TEST(ProxyHeader, TheLongestIdentityThatParsesFits) {
  const std::string domain(2048 - std::string_view("spiffe:///ns/a/sa/b").size(), 'd');
  const auto longest = mesh::Identity::parse("spiffe://" + domain + "/ns/a/sa/b");
  ASSERT_TRUE(longest);
  EXPECT_FALSE(mesh::Identity::parse("spiffe://d" + domain + "/ns/a/sa/b"));
  const auto header = proxy_header(at("10.244.1.2:1"), at("10.96.0.50:80"), *longest);
  EXPECT_EQ(header.size(), 16u + 12u + 3u + 2048u);
  EXPECT_EQ(hex(std::span(header).subspan(14, 2)), "080f");
}

}  // namespace
}  // namespace weft::proxy
