// DNS messages as values: the part of RFC 1035 and EDNS (RFC 6891) that answering A and AAAA takes.
// Pure; input is hostile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.h"
#include "base/result.h"

namespace weft::proxy::dns {

inline constexpr std::uint16_t kTypeA = 1, kTypeCname = 5, kTypeAaaa = 28, kTypeOpt = 41,
                               kClassIn = 1;
inline constexpr std::uint8_t kNoError = 0, kFormErr = 1, kServFail = 2, kNotImp = 4, kRefused = 5;
inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr std::size_t kUdpMin = 512;   // what a client without EDNS takes
inline constexpr std::size_t kUdpMax = 1232;  // what we send at most, and advertise
inline constexpr std::size_t kMessageMax = 65535;

struct Query {
  std::uint16_t id = 0;
  std::uint8_t opcode = 0;
  bool recursion_desired = false, checking_disabled = false;
  std::string name;  // lower case, without the last dot; empty when a label has bytes that no host
                     // name has (or is the root)
  std::uint16_t type = 0, klass = 0;
  std::size_t question_end =
      0;  // the question's bytes are [kHeaderBytes, question_end): echoed as they came
  bool edns = false;
  std::size_t reply_limit = kUdpMin;  // bytes a datagram back may have
};

// The header and the one question of a query. Anything after them but an OPT record is skipped
// over. Errors: kMalformed (truncated, a response, not exactly one question, a compressed or too
// long name).
Result<Query> parse_query(std::span<const std::byte> message);

struct Reply {
  std::uint8_t rcode = kNoError;
  bool authoritative = false;
  std::string canonical;  // not empty: a CNAME from the question's name to this one comes first
  std::vector<IpAddress> addresses;  // A or AAAA by family
  std::uint32_t ttl = 30;
};

// Writes the reply to `query`, whose message was `message`, to `out` (replaced). What does not fit
// in `limit` is left out and TC is set.
void encode_reply(const Query& query, std::span<const std::byte> message, const Reply& reply,
                  std::size_t limit, std::vector<std::byte>& out);

// A reply without a parsed query: header only. REQUIRES: message.size() >= kHeaderBytes.
void encode_error(std::span<const std::byte> message, std::uint8_t rcode,
                  std::vector<std::byte>& out);

// `reply` is a response to `query`: same id, QR set, the same question if it has one. Case of names
// may differ.
bool answers(std::span<const std::byte> reply, std::span<const std::byte> query);

std::string_view type_name(
    std::uint16_t type);  // for the metric's label: "A", "AAAA", "SRV" … or "other"

}  // namespace weft::proxy::dns
