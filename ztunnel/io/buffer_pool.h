// BufferPool: the memory behind recv_buffer. One mapping of `count` buffers (touched only when used), then heap buffers of 16 KiB
// up to `spill_max` bytes for those who hold them and twice that for those who do not, then nothing; each Share its part of that.
// Thread: the loop's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ztunnel/io/share.h"

namespace weft::io {

class BufferPool {
 public:
  static constexpr std::uint32_t kSpilled = UINT32_MAX;  // the id of every heap buffer
  static constexpr std::uint32_t kSpillSize = 16 * 1024;

  struct Piece {
    std::byte* base = nullptr;  // nullptr: there is none
    std::uint32_t id = 0;
    std::uint32_t size = 0;
  };

  BufferPool(std::uint32_t count, std::uint32_t size, std::size_t spill_max);
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  // From the mapping (the one used last: it is in the cache), else from the heap. `share`, if given, holds what is from the heap until
  // put(); without room_of() it gets none.
  Piece take(bool held, Share* share = nullptr);
  Piece spill(bool held, Share* share = nullptr);
  bool has_mapped() const { return !free_.empty(); }
  void put(std::byte* base, std::uint32_t id);

  std::uint32_t count() const { return count_; }
  std::uint32_t size() const { return size_; }
  std::byte* at(std::uint32_t id) const { return memory_ + std::size_t{id} * size_; }
  // How many takes would succeed now.
  std::size_t available(bool held) const { return free_.size() + spill_room(held); }
  std::size_t spill_room(bool held) const {
    const std::size_t most = held ? spill_max_ : 2 * spill_max_;
    return spilled_ >= most ? 0 : (most - spilled_) / kSpillSize;
  }
  // The same for one share, which may hold no more than it leaves. At least one where there is any.
  std::size_t room_of(const Share& share) const {
    const std::size_t left = spill_room(true) * kSpillSize;
    return share.held >= left ? 0 : (left - share.held + kSpillSize) / (2 * kSpillSize);
  }

 private:
  // Set once.
  std::uint32_t count_;
  std::uint32_t size_;
  std::size_t spill_max_;
  std::byte* memory_;

  std::vector<std::uint32_t> free_;
  std::size_t spilled_ = 0;  // bytes
};

}  // namespace weft::io
