// FdTable<Entry>: what a loop remembers per descriptor number. Grows by pages, so entries stay where they are.
// Thread: the loop's.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace weft::io {

template <class Entry>
class FdTable {
 public:
  Entry& operator[](int fd) {
    const auto number = static_cast<std::size_t>(fd);
    const std::size_t page = number / kPage;
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (!pages_[page]) pages_[page] = std::make_unique<Page>();
    return (*pages_[page])[number % kPage];
  }

 private:
  static constexpr std::size_t kPage = 256;
  using Page = std::array<Entry, kPage>;
  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace weft::io
