#include "ztunnel/proxy/dns_codec.h"

#include <algorithm>
#include <cstring>

namespace weft::proxy::dns {
namespace {

constexpr std::size_t kLabelMax = 63, kNameMax = 255;
constexpr std::uint16_t kResponse = 0x8000, kAuthoritative = 0x0400, kTruncated = 0x0200,
                        kRecursionDesired = 0x0100, kRecursionAvailable = 0x0080,
                        kCheckingDisabled = 0x0010;

std::uint8_t u8(std::span<const std::byte> from, std::size_t at) {
  return static_cast<std::uint8_t>(from[at]);
}
std::uint16_t u16(std::span<const std::byte> from, std::size_t at) {
  return static_cast<std::uint16_t>(u8(from, at) << 8 | u8(from, at + 1));
}
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_host_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '*' ||
         c == '/';
}

// Skips a name, compressed or not; returns the place after it, or 0.
std::size_t skip_name(std::span<const std::byte> message, std::size_t at) {
  while (at < message.size()) {
    std::uint8_t length = u8(message, at);
    if (length == 0) return at + 1;
    if (length >= 0xc0) return at + 2 <= message.size() ? at + 2 : 0;
    if (length > kLabelMax) return 0;
    at += 1 + length;
  }
  return 0;
}

// The question's name: no compression. Returns the place after it, or 0. `printable` is cleared for
// bytes outside host names.
std::size_t read_name(std::span<const std::byte> message, std::size_t at, std::string& name,
                      bool& printable) {
  const std::size_t start = at;
  for (;;) {
    if (at >= message.size()) return 0;
    const std::uint8_t length = u8(message, at++);
    if (at - start + length > kNameMax) return 0;
    if (length == 0) return at;
    if (length > kLabelMax || at + length > message.size()) return 0;
    if (!name.empty()) name += '.';
    for (std::size_t i = 0; i < length; ++i) {
      const char c = lower(static_cast<char>(message[at + i]));
      if (!is_host_char(c)) printable = false;
      name += c;
    }
    at += length;
  }
}

// EDNS in the additional section, if the sections before it can be skipped.
void read_edns(std::span<const std::byte> message, Query& query) {
  std::size_t at = query.question_end;
  const unsigned before = u16(message, 6) + u16(message, 8);
  const unsigned records = before + u16(message, 10);
  for (unsigned i = 0; i < records; ++i) {
    at = skip_name(message, at);
    if (at == 0 || at + 10 > message.size()) return;
    const std::uint16_t type = u16(message, at);
    if (type == kTypeOpt && i >= before) {
      query.edns = true;
      query.reply_limit = std::clamp<std::size_t>(u16(message, at + 2), kUdpMin, kUdpMax);
      return;
    }
    at += 10 + u16(message, at + 8);
    if (at > message.size()) return;
  }
}

class Writer {
 public:
  explicit Writer(std::vector<std::byte>& out) : out_(out) { out_.clear(); }
  void u8(std::uint8_t value) { out_.push_back(static_cast<std::byte>(value)); }
  void u16(std::uint16_t value) {
    u8(static_cast<std::uint8_t>(value >> 8));
    u8(static_cast<std::uint8_t>(value));
  }
  void u32(std::uint32_t value) {
    u16(static_cast<std::uint16_t>(value >> 16));
    u16(static_cast<std::uint16_t>(value));
  }
  void bytes(std::span<const std::byte> from) { out_.insert(out_.end(), from.begin(), from.end()); }
  void bytes(std::span<const std::uint8_t> from) { bytes(std::as_bytes(from)); }
  void patch(std::size_t at, std::uint16_t value) {
    out_[at] = static_cast<std::byte>(value >> 8);
    out_[at + 1] = static_cast<std::byte>(value);
  }
  std::size_t size() const { return out_.size(); }

  // False, with nothing written, if `name` cannot be put on the wire.
  bool name(std::string_view name) {
    if (name.empty() || name.size() > kNameMax - 2) return false;
    const std::size_t start = out_.size();
    while (!name.empty()) {
      const auto dot = name.find('.');
      const auto label = name.substr(0, dot);
      if (label.empty() || label.size() > kLabelMax) {
        out_.resize(start);
        return false;
      }
      u8(static_cast<std::uint8_t>(label.size()));
      bytes(std::as_bytes(std::span(label)));
      if (dot == std::string_view::npos) break;
      name.remove_prefix(dot + 1);
    }
    u8(0);
    return true;
  }

 private:
  std::vector<std::byte>& out_;
};

void write_opt(Writer& writer) {
  writer.u8(0);
  writer.u16(kTypeOpt);
  writer.u16(static_cast<std::uint16_t>(kUdpMax));
  writer.u32(0);  // extended rcode, version, flags
  writer.u16(0);
}

}  // namespace

Result<Query> parse_query(std::span<const std::byte> message) {
  if (message.size() < kHeaderBytes) return fail(Code::kMalformed, "dns header");
  const std::uint16_t flags = u16(message, 2);
  if ((flags & kResponse) != 0) return fail(Code::kMalformed, "dns: not a query");
  Query query;
  query.id = u16(message, 0);
  query.opcode = (flags >> 11) & 0xf;
  query.recursion_desired = (flags & kRecursionDesired) != 0;
  query.checking_disabled = (flags & kCheckingDisabled) != 0;
  if (u16(message, 4) != 1) return fail(Code::kMalformed, "dns: not one question");
  bool printable = true;
  const std::size_t after = read_name(message, kHeaderBytes, query.name, printable);
  if (after == 0 || after + 4 > message.size()) return fail(Code::kMalformed, "dns question");
  if (!printable) query.name.clear();
  query.type = u16(message, after);
  query.klass = u16(message, after + 2);
  query.question_end = after + 4;
  read_edns(message, query);
  return query;
}

void encode_reply(const Query& query, std::span<const std::byte> message, const Reply& reply,
                  std::size_t limit, std::vector<std::byte>& out) {
  Writer writer(out);
  std::uint16_t flags = kResponse | kRecursionAvailable |
                        static_cast<std::uint16_t>(query.opcode << 11) | reply.rcode;
  if (reply.authoritative) flags |= kAuthoritative;
  if (query.recursion_desired) flags |= kRecursionDesired;
  if (query.checking_disabled) flags |= kCheckingDisabled;
  writer.u16(query.id);
  writer.u16(flags);
  writer.u16(1);
  writer.u16(0);
  writer.u16(0);
  writer.u16(query.edns ? 1 : 0);
  writer.bytes(message.subspan(kHeaderBytes, query.question_end - kHeaderBytes));

  const std::size_t room = limit - (query.edns ? 11 : 0);
  std::uint16_t records = 0, owner = 0xc000 | kHeaderBytes;
  if (!reply.canonical.empty()) {
    const std::size_t start = writer.size();
    writer.u16(owner);
    writer.u16(kTypeCname);
    writer.u16(kClassIn);
    writer.u32(reply.ttl);
    writer.u16(0);
    const std::size_t target = writer.size();
    if (writer.name(reply.canonical) && writer.size() <= room) {
      writer.patch(target - 2, static_cast<std::uint16_t>(writer.size() - target));
      owner = static_cast<std::uint16_t>(0xc000 | target);
      ++records;
    } else {
      out.resize(start);
    }
  }
  for (const auto& ip : reply.addresses) {
    if (writer.size() + 12 + ip.bytes().size() > room) {
      flags |= kTruncated;
      break;
    }
    writer.u16(owner);
    writer.u16(ip.is_v4() ? kTypeA : kTypeAaaa);
    writer.u16(kClassIn);
    writer.u32(reply.ttl);
    writer.u16(static_cast<std::uint16_t>(ip.bytes().size()));
    writer.bytes(ip.bytes());
    ++records;
  }
  if (query.edns) write_opt(writer);
  writer.patch(2, flags);
  writer.patch(6, records);
}

void encode_error(std::span<const std::byte> message, std::uint8_t rcode,
                  std::vector<std::byte>& out) {
  Writer writer(out);
  writer.u16(u16(message, 0));
  writer.u16(static_cast<std::uint16_t>(kResponse | (u16(message, 2) & 0x7900) | rcode));
  writer.u32(0);
  writer.u32(0);
}

bool answers(std::span<const std::byte> reply, std::span<const std::byte> query) {
  if (reply.size() < kHeaderBytes || query.size() < kHeaderBytes) return false;
  if (u16(reply, 0) != u16(query, 0) || (u16(reply, 2) & kResponse) == 0) return false;
  if (u16(reply, 4) == 0) return true;  // an error without a question
  std::string asked, echoed;
  bool printable = true;
  const std::size_t asked_end = read_name(query, kHeaderBytes, asked, printable);
  const std::size_t echoed_end = read_name(reply, kHeaderBytes, echoed, printable);
  if (asked_end == 0 || echoed_end == 0 || asked_end + 4 > query.size() ||
      echoed_end + 4 > reply.size())
    return false;
  return asked == echoed &&
         std::memcmp(query.data() + asked_end, reply.data() + echoed_end, 4) == 0;
}

std::string_view type_name(std::uint16_t type) {
  switch (type) {
    case kTypeA:
      return "A";
    case 2:
      return "NS";
    case kTypeCname:
      return "CNAME";
    case 6:
      return "SOA";
    case 12:
      return "PTR";
    case 15:
      return "MX";
    case 16:
      return "TXT";
    case kTypeAaaa:
      return "AAAA";
    case 33:
      return "SRV";
    case 64:
      return "SVCB";
    case 65:
      return "HTTPS";
    case 255:
      return "ANY";
    default:
      return "other";
  }
}

}  // namespace weft::proxy::dns
