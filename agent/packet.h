// One packet of a SOCK_SEQPACKET Unix socket, with descriptors. Never blocks.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace weft::agent {

inline constexpr std::size_t kDescriptorsMost = 253;  // SCM_MAX_FD

struct Packet {
  std::vector<std::byte> bytes;
  std::vector<Fd> descriptors;
  bool cut = false;  // longer than asked for, or more descriptors than fit
};

// Nothing is lost when it fails with kExhausted (EAGAIN): try again when writable.
// Errors: kExhausted, kClosed, kSystem. REQUIRES: descriptors.size() <= kDescriptorsMost.
Result<void> send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors);

// Errors: kExhausted (nothing there), kClosed (end), kSystem.
Result<Packet> receive_packet(int socket, std::size_t bytes_most);

}  // namespace weft::agent
