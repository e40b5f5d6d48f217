// Buffer: bytes borrowed from a loop's pool. Whoever holds it may read and write its bytes; it goes back when it dies.
// Thread: the loop's. REQUIRES: the loop outlives it. Holding one keeps it from other connections: the pool is small, and past it
// the loop spills to the heap up to a named maximum, then reads pause. So do not keep a Buffer while waiting for something slow
// that is not the write of its own bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace weft::io {

// Where a Buffer goes back to; a loop.
class BufferOwner {
 public:
  virtual void give_back(std::byte* base, std::uint32_t id) = 0;

 protected:
  ~BufferOwner() = default;
};

class Buffer {
 public:
  Buffer() = default;  // empty: end of file
  Buffer(BufferOwner& owner, std::byte* base, std::uint32_t id, std::size_t size)
      : owner_(&owner), base_(base), begin_(base), size_(static_cast<std::uint32_t>(size)), id_(id) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      release();
      swap(other);
    }
    return *this;
  }
  ~Buffer() { release(); }

  std::span<std::byte> bytes() { return {begin_, size_}; }
  std::span<const std::byte> bytes() const { return {begin_, size_}; }
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // Forgets the first `count` bytes. REQUIRES: count <= size().
  void drop_front(std::size_t count) {
    begin_ += count;
    size_ -= static_cast<std::uint32_t>(count);
  }
  // Gives the memory back now; the buffer is empty afterwards.
  void release() {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->give_back(base_, id_);
    base_ = begin_ = nullptr;
    size_ = 0;
  }

 private:
  void swap(Buffer& other) {
    std::swap(owner_, other.owner_);
    std::swap(base_, other.base_);
    std::swap(begin_, other.begin_);
    std::swap(size_, other.size_);
    std::swap(id_, other.id_);
  }

  BufferOwner* owner_ = nullptr;
  std::byte* base_ = nullptr;
  std::byte* begin_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t id_ = 0;
};

}  // namespace weft::io
