// Output: ciphertext waiting to be sent. One thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace weft::tls {

class Output {
 public:
  Output() = default;
  Output(Output&& other) noexcept { swap(other); }
  Output& operator=(Output&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Output() { release(); }

  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void append(std::span<const std::byte> bytes);
  void clear() { size_ = 0; }  // keeps the memory
  void release();              // clear and give the memory back

 private:
  void grow(std::size_t least);
  void swap(Output& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace weft::tls
