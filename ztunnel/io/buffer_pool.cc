#include "ztunnel/io/buffer_pool.h"

#include <sys/mman.h>

#include <cstdlib>

#include "base/assert.h"

namespace weft::io {

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

BufferPool::Piece BufferPool::take(bool held) {
  if (free_.empty()) return spill(held);
  const std::uint32_t id = free_.back();
  free_.pop_back();
  return {at(id), id, size_};
}

BufferPool::Piece BufferPool::spill(bool held) {
  if (spill_room(held) == 0) return {};
  auto* base = static_cast<std::byte*>(std::malloc(kSpillSize));
  if (base == nullptr) return {};
  spilled_ += kSpillSize;
  return {base, kSpilled, kSpillSize};
}

void BufferPool::put(std::byte* base, std::uint32_t id) {
  if (id == kSpilled) {
    std::free(base);
    spilled_ -= kSpillSize;
    return;
  }
  WEFT_ASSERT(id < count_);
  free_.push_back(id);
}

}  // namespace weft::io
