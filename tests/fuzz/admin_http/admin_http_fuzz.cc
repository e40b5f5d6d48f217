// The HTTP head parser of ztunnel's metrics, readiness and admin ports under hostile bytes: what it
// takes has a bounded body, and the answer to it is one whole HTTP message.
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "ztunnel/admin/http.h"

using namespace weft::admin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view head(reinterpret_cast<const char*>(data), size);
  const auto request = parse_head(head);
  if (!request) {
    WEFT_ASSERT(!request.error().text.empty());
    return 0;
  }
  WEFT_ASSERT(request->content_length <= kBodyMax);
  // A '?' can only have come from a percent sequence.
  WEFT_ASSERT(head.contains('%') || request->path.find('?') == std::string::npos);
  std::size_t bytes = request->method.size() + request->path.size();
  for (const auto& [name, value] : request->query) bytes += name.size() + value.size();
  WEFT_ASSERT(bytes <= size);
  const auto answer = format_response({.status = 200, .body = request->path}, request->method == "HEAD");
  WEFT_ASSERT(answer.starts_with("HTTP/1.1 200 "));
  WEFT_ASSERT(answer.find("\r\n\r\n") != std::string::npos);
  return 0;
}
