// The DNS codec under hostile datagrams: what parses can be answered within its limit, and the
// answer answers the question.
#include <vector>

#include "base/assert.h"
#include "ztunnel/proxy/dns_codec.h"

using namespace weft;
using namespace weft::proxy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = std::as_bytes(std::span(data, size));
  std::vector<std::byte> out;
  if (message.size() >= dns::kHeaderBytes) {
    dns::encode_error(message, dns::kFormErr, out);
    WEFT_ASSERT(out.size() == dns::kHeaderBytes);
  }
  dns::answers(message, message.first(size / 2));
  dns::answers(message.first(size / 2), message);
  auto query = dns::parse_query(message);
  if (!query) return 0;
  WEFT_ASSERT(query->question_end <= message.size());
  dns::Reply reply{.canonical = query->name,
                   .addresses = std::vector(64, *IpAddress::parse("fd00::1"))};
  for (std::size_t limit : {query->reply_limit, dns::kMessageMax}) {
    dns::encode_reply(*query, message, reply, limit, out);
    WEFT_ASSERT(out.size() <= limit);
    WEFT_ASSERT(dns::answers(out, message));
  }
  return 0;
}
