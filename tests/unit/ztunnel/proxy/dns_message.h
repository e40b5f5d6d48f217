// Builds DNS queries for tests, byte by byte, and reads replies back with as little code as will
// do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ztunnel/proxy/dns_codec.h"

namespace weft::proxy::dns {

using Bytes = std::vector<std::byte>;

inline void put(Bytes& out, std::initializer_list<int> bytes) {
  for (int byte : bytes) out.push_back(static_cast<std::byte>(byte));
}
inline void put_name(Bytes& out, std::string_view name) {
  while (!name.empty()) {
    const auto dot = name.find('.');
    const auto label = name.substr(0, dot);
    put(out, {static_cast<int>(label.size())});
    for (char c : label) put(out, {c});
    if (dot == std::string_view::npos) break;
    name.remove_prefix(dot + 1);
  }
  put(out, {0});
}
inline Bytes query(std::string_view name, int type, int edns_size = 0) {
  Bytes out;
  put(out, {0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, edns_size != 0 ? 1 : 0});
  put_name(out, name);
  put(out, {0, type, 0, 1});
  if (edns_size != 0) put(out, {0, 0, 41, edns_size >> 8, edns_size & 0xff, 0, 0, 0, 0, 0, 0});
  return out;
}

inline int u16_at(const Bytes& from, std::size_t at) {
  return static_cast<int>(from.at(at)) << 8 | static_cast<int>(from.at(at + 1));
}
inline int rcode_of(const Bytes& reply) { return static_cast<int>(reply.at(3)) & 0xf; }
inline bool truncated(const Bytes& reply) { return (static_cast<int>(reply.at(2)) & 0x02) != 0; }
inline bool authoritative(const Bytes& reply) {
  return (static_cast<int>(reply.at(2)) & 0x04) != 0;
}
inline int answer_count(const Bytes& reply) { return u16_at(reply, 6); }

// A name at `at`, following pointers; moves `at` behind it.
inline std::string name_at(const Bytes& from, std::size_t& at) {
  std::string out;
  std::size_t place = at;
  bool jumped = false;
  for (int steps = 0; steps < 64; ++steps) {
    const int length = static_cast<int>(from.at(place));
    if (length >= 0xc0) {
      if (!jumped) at = place + 2;
      jumped = true;
      place = static_cast<std::size_t>(u16_at(from, place) & 0x3fff);
      continue;
    }
    ++place;
    if (length == 0) break;
    if (!out.empty()) out += '.';
    for (int i = 0; i < length; ++i) out += static_cast<char>(from.at(place++));
  }
  if (!jumped) at = place;
  return out;
}

struct Record {
  std::string name;
  int type;
  int ttl;
  std::string data;  // an address or a name
};
inline std::vector<Record> records_of(const Bytes& reply) {
  std::size_t at = kHeaderBytes;
  name_at(reply, at);
  at += 4;
  std::vector<Record> out;
  for (int i = 0; i < answer_count(reply); ++i) {
    Record record;
    record.name = name_at(reply, at);
    record.type = u16_at(reply, at);
    record.ttl = u16_at(reply, at + 4) << 16 | u16_at(reply, at + 6);
    const auto size = static_cast<std::size_t>(u16_at(reply, at + 8));
    at += 10;
    if (record.type == kTypeCname) {
      std::size_t inner = at;
      record.data = name_at(reply, inner);
    } else {
      record.data =
          IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&reply.at(at)), size})
              ->str();
    }
    at += size;
    out.push_back(std::move(record));
  }
  return out;
}

}  // namespace weft::proxy::dns
