// Block: a shared 64 KiB piece of received plaintext; Received: what a stream read, as views into blocks.
// Blocks and Received belong to one thread.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace weft::hbone {

inline constexpr std::size_t kBlockBytes = 64 * 1024;

struct Block;  // counted; freed, or kept in a small per-thread cache, when the last reference goes

class BlockRef {
 public:
  BlockRef() = default;
  static BlockRef make();
  BlockRef(const BlockRef& other);
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef();
  explicit operator bool() const { return block_ != nullptr; }
  std::span<std::byte> bytes() const;  // all kBlockBytes
  bool shared() const;                 // somebody else holds it too
  bool operator==(const BlockRef&) const = default;

 private:
  Block* block_ = nullptr;
};

class StreamState;

// Bytes read from a stream. Empty: the peer ended its direction. The peer's window is opened again by what is in here when this object
// dies (or done() is called): hold it until the bytes are written on, and backpressure reaches the peer. Move-only.
class Received {
 public:
  static constexpr std::size_t kPiecesMax = 8;

  Received() = default;
  Received(Received&& other) noexcept;
  Received& operator=(Received&& other) noexcept;
  Received(const Received&) = delete;
  Received& operator=(const Received&) = delete;
  ~Received() { done(); }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  // Ready for send_gather(), which spends the iovecs; size() stays.
  std::span<iovec> pieces() { return {pieces_.data(), count_}; }
  // Drops the bytes and opens the window.
  void done();

 private:
  friend class StreamState;

  std::array<iovec, kPiecesMax> pieces_;
  std::array<BlockRef, kPiecesMax> blocks_;
  std::size_t count_ = 0, size_ = 0;
  std::shared_ptr<StreamState> stream_;
};

}  // namespace weft::hbone
