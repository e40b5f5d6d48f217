#include "base/net.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(IpAddress, ParsesBothFamiliesAndPrintsThemBack) {
  for (const char* text : {"10.0.0.1", "0.0.0.0", "255.255.255.255", "fd00:244:1::5", "::1", "::"}) {
    const auto ip = IpAddress::parse(text);
    ASSERT_TRUE(ip) << text;
    EXPECT_EQ(ip->str(), text);
  }
}

TEST(IpAddress, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "10.0.0", "10.0.0.256", "[::1]", "::1%lo", "10.0.0.1 ", "1::2::3", "host"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("10.0.0.1\0x", 10)));
}

TEST(IpAddress, MappedV4IsV4) {
  const auto mapped = IpAddress::parse("::ffff:10.1.2.3");
  ASSERT_TRUE(mapped);
  EXPECT_TRUE(mapped->is_v4());
  EXPECT_EQ(*mapped, *IpAddress::parse("10.1.2.3"));
  EXPECT_EQ(IpAddress::from_bytes(mapped->mapped()), *mapped);
}

TEST(IpAddress, KnowsLoopback) {
  EXPECT_TRUE(IpAddress::parse("127.9.8.7")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("::2")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("128.0.0.1")->is_loopback());
  EXPECT_FALSE(IpAddress().is_loopback());
}

TEST(SocketAddress, RoundTripsThroughSockaddr) {
  for (const char* text : {"10.0.0.1:80", "[fd00::1]:65535"}) {
    const auto address = SocketAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->str(), text);
    sockaddr_storage storage;
    for (int family : {AF_UNSPEC, AF_INET6}) {
      const auto length = address->to_sockaddr(storage, family);
      EXPECT_EQ(SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length), *address);
    }
  }
}

TEST(SocketAddress, RefusesMissingAndBadPorts) {
  for (const char* text : {"10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1", "fd00::1:80", "[fd00::1]", ":80", "a:80"}) {
    EXPECT_FALSE(SocketAddress::parse(text)) << text;
  }
}

TEST(Cidr, ContainsByPrefixWithinItsFamily) {
  const auto block = Cidr::parse("10.244.1.77/24");
  ASSERT_TRUE(block);
  EXPECT_EQ(block->str(), "10.244.1.0/24");
  EXPECT_TRUE(block->contains(*IpAddress::parse("10.244.1.255")));
  EXPECT_FALSE(block->contains(*IpAddress::parse("10.244.2.0")));
  EXPECT_FALSE(Cidr::parse("::/0")->contains(*IpAddress::parse("10.0.0.1")));
  EXPECT_TRUE(Cidr::parse("0.0.0.0/0")->contains(*IpAddress::parse("8.8.8.8")));
  EXPECT_TRUE(Cidr::parse("fd00:96::/112")->contains(*IpAddress::parse("fd00:96::ffff")));
  EXPECT_FALSE(Cidr::parse("fd00:96::/112")->contains(*IpAddress::parse("fd00:96::1:0")));
  EXPECT_FALSE(Cidr::parse("10.0.0.0/33"));
  EXPECT_FALSE(Cidr::parse("10.0.0.0/"));
}

TEST(Nameservers, AreReadAsTheResolverDoes) {
  const auto found = nameservers(
      "# nameserver 1.1.1.1\nsearch a b\nnameserver 10.96.0.10\nnameserver\tfd00:96::a \r\n "
      "nameserver 9.9.9.9\n"
      "nameserver\nnameserver x\nnameserver8.8.8.8\nnameserver 10.0.0.2");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].str(), "10.96.0.10");
  EXPECT_EQ(found[1].str(), "fd00:96::a");
  EXPECT_EQ(found[2].str(), "10.0.0.2");
  EXPECT_TRUE(nameservers("").empty());
}

}  // namespace
}  // namespace weft
