// Share: what one of those who share a loop (a pod) holds of its heap buffers, and its readers that wait for one. Nobody may hold
// more than is left for all others: whoever lets his connections stall stops his own reads and nobody else's.
// Owner: whoever it stands for; outlives every operation and Buffer that it was given with. Thread: the loop's.
#pragma once

#include <cstddef>

#include "ztunnel/io/op_list.h"

namespace weft::io {

struct Share {
  std::size_t held = 0;  // bytes; kept by BufferPool
  OpList parked;         // kept by Loop
};

}  // namespace weft::io
