// Frames from ztunnel, as the agent reads them: nothing crashes, and what is let through obeys the limits.
#include <google/protobuf/stubs/logging.h>

#include "agent/zds.h"
#include "base/assert.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace zds = weft::agent::zds;
  const std::span frame(reinterpret_cast<const std::byte*>(data), size);
  if (const auto hello = zds::decode_hello(frame)) {
    WEFT_ASSERT(hello->loops >= 1);
    WEFT_ASSERT(hello->loops <= weft::agent::kLoopsMost);
  }
  const auto response = zds::decode_response(frame, 0);
  if (!response) return 0;
  if (const auto* request = std::get_if<zds::SocketRequest>(&*response)) {
    WEFT_ASSERT(!request->uid.empty());
    WEFT_ASSERT(request->uid.size() <= zds::kUidMax);
    WEFT_ASSERT(request->count >= 1);
    WEFT_ASSERT(request->count <= weft::agent::kConnectionsMost);
  }
  return 0;
}
