// An API server that says anything: lists and watch streams in pieces of any size. Whatever the
// bytes, the reflector asks again, later than now, and what it hands out is an object of its kind.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "source/kube/reflector.h"

namespace kube = weft::source::kube;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kube::Reflector reflector({"security.istio.io", {"v1", "v1beta1"}, "things", "Thing", ""}, 7);
  const kube::Answer list{.status = 200, .complete = true};
  if (size > 0 && data[0] % 2 == 0) {  // into the watch at once
    reflector.next();
    reflector.body(200, R"({"metadata":{"resourceVersion":"5"},"items":[]})");
    reflector.end(list, {});
  }
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  weft::Clock::time_point now;
  while (!rest.empty()) {
    const auto head = static_cast<unsigned char>(rest.front());
    const long status = head % 7 == 1 ? 410 : head % 7 == 2 ? 404 : head % 7 == 3 ? 0 : 200;
    rest.remove_prefix(1);
    const std::size_t most = std::size_t{head} * 8 + 1;
    const std::string_view piece = rest.substr(0, most);
    rest.remove_prefix(piece.size());
    now = std::max(now, reflector.due());
    WEFT_ASSERT(!reflector.next().path.empty());
    if (status != 0) {
      if (reflector.body(status, piece.substr(0, piece.size() / 2)))
        reflector.body(status, piece.substr(piece.size() / 2));
    }
    reflector.end({.status = status, .complete = head % 2 == 0}, now);
    WEFT_ASSERT(reflector.due() >= now);
    for (const kube::Item& item : reflector.take()) {
      WEFT_ASSERT(item.key.kind == "Thing.security.istio.io");
      WEFT_ASSERT(!(item.object && item.problem));
      WEFT_ASSERT(!item.object || item.object->key() == item.key);
    }
  }
  return 0;
}
