// Packets from the agent: any bytes give a message or one sentence; sockets that do not fit are refused.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "ztunnel/pods/zds.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft::pods;
  const auto message = decode_agent_message({reinterpret_cast<const char*>(data), size});
  if (!message) {
    WEFT_ASSERT(!message.error().text.empty());
    WEFT_ASSERT(encode_ack(message.error().text).size() <= kPacketMax);
    return 0;
  }
  WEFT_ASSERT(size <= kPacketMax);
  if (const auto* add = std::get_if<AddPod>(&*message)) {
    WEFT_ASSERT(!add->pod.uid.empty());
    std::vector<weft::Fd> none(add->kinds.size() + 1);  // invalid descriptors: nothing to close
    const auto sockets = sort_sockets(*add, std::move(none), 2);
    WEFT_ASSERT(!sockets);
  }
  return 0;
}
