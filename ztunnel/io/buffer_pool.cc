#include "ztunnel/io/buffer_pool.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/assert.h"

namespace weft::io {

namespace {
constexpr std::size_t kHead = alignof(std::max_align_t);
}  // namespace

BufferPool::BufferPool(std::uint32_t count, std::uint32_t size, std::size_t spill_max)
    : count_(count), size_(size), spill_max_(spill_max) {
  void* memory = ::mmap(nullptr, std::size_t{count} * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  WEFT_ASSERT(memory != MAP_FAILED);
  memory_ = static_cast<std::byte*>(memory);
  free_.reserve(count);
  for (std::uint32_t id = count; id > 0; --id) free_.push_back(id - 1);
}

BufferPool::~BufferPool() {
  WEFT_ASSERT(spilled_ == 0);
  ::munmap(memory_, std::size_t{count_} * size_);
}

BufferPool::Piece BufferPool::take(bool held, Share* share) {
  if (free_.empty()) return spill(held, share);
  const std::uint32_t id = free_.back();
  free_.pop_back();
  return {at(id), id, size_};
}

// Before its bytes a heap buffer says whose it is.
BufferPool::Piece BufferPool::spill(bool held, Share* share) {
  if (spill_room(held) == 0 || (held && share != nullptr && room_of(*share) == 0)) return {};
  auto* memory = static_cast<std::byte*>(std::malloc(kHead + kSpillSize));
  if (memory == nullptr) return {};
  if (!held) share = nullptr;
  std::memcpy(memory, &share, sizeof share);
  if (share != nullptr) share->held += kSpillSize;
  spilled_ += kSpillSize;
  return {memory + kHead, kSpilled, kSpillSize};
}

void BufferPool::put(std::byte* base, std::uint32_t id) {
  if (id == kSpilled) {
    Share* share = nullptr;
    std::memcpy(&share, base - kHead, sizeof share);
    if (share != nullptr) share->held -= kSpillSize;
    std::free(base - kHead);
    spilled_ -= kSpillSize;
    return;
  }
  WEFT_ASSERT(id < count_);
  free_.push_back(id);
}

}  // namespace weft::io
