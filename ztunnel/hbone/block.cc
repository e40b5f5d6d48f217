#include "ztunnel/hbone/block.h"

#include <memory>
#include <vector>

namespace weft::hbone {

struct Block {
  std::size_t references = 0;
  alignas(64) std::byte bytes[kBlockBytes];
};

namespace {

// A few blocks stay with the thread: at tens of thousands a second malloc would give the memory back to the kernel and fault it in
// again. Per thread and not per loop because a block may die in any frame of the loop that it lives on.
constexpr std::size_t kCacheMax = 16;

struct Cache {
  std::vector<std::unique_ptr<Block>> blocks;
};
thread_local Cache cache;

}  // namespace

BlockRef BlockRef::make() {
  BlockRef reference;
  if (cache.blocks.empty()) {
    reference.block_ = new Block;  // not zeroed
  } else {
    reference.block_ = cache.blocks.back().release();
    cache.blocks.pop_back();
  }
  reference.block_->references = 1;
  return reference;
}

BlockRef::BlockRef(const BlockRef& other) : block_(other.block_) {
  if (block_ != nullptr) ++block_->references;
}

BlockRef::~BlockRef() {
  if (block_ == nullptr || --block_->references != 0) return;
  std::unique_ptr<Block> last(block_);
  if (cache.blocks.size() < kCacheMax) cache.blocks.push_back(std::move(last));
}

std::span<std::byte> BlockRef::bytes() const { return block_->bytes; }
bool BlockRef::shared() const { return block_->references > 1; }

}  // namespace weft::hbone
