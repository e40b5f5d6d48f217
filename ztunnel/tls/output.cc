#include "ztunnel/tls/output.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace weft::tls {
namespace {

// Two sizes in practice: a few records, and a whole flush of a busy tunnel. The latter are kept with the thread when a tunnel goes
// idle: malloc would give them back to the kernel and fault them in again with every burst.
constexpr std::size_t kSmall = 32 * 1024;
constexpr std::size_t kLarge = 320 * 1024;
constexpr std::size_t kCacheMax = 4;

thread_local std::vector<std::unique_ptr<std::byte[]>> cache;

std::unique_ptr<std::byte[]> take_large() {
  if (cache.empty()) return std::make_unique_for_overwrite<std::byte[]>(kLarge);
  std::unique_ptr<std::byte[]> memory = std::move(cache.back());
  cache.pop_back();
  return memory;
}

}  // namespace

void Output::grow(std::size_t least) {
  std::size_t capacity = std::max<std::size_t>(capacity_ * 2, 512);
  while (capacity < least) capacity *= 2;
  if (capacity > kSmall && least <= kLarge) capacity = kLarge;
  auto memory = capacity == kLarge ? take_large() : std::make_unique_for_overwrite<std::byte[]>(capacity);
  if (size_ != 0) std::memcpy(memory.get(), data_.get(), size_);
  const std::size_t size = size_;
  release();
  data_ = std::move(memory);
  size_ = size;
  capacity_ = capacity;
}

void Output::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (size_ + bytes.size() > capacity_) grow(size_ + bytes.size());
  std::memcpy(data_.get() + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void Output::release() {
  if (capacity_ == kLarge && cache.size() < kCacheMax) cache.push_back(std::move(data_));
  data_.reset();
  size_ = capacity_ = 0;
}

}  // namespace weft::tls
