// The two ways operations are linked: OpList (a queue of the loop) and OpChain (what waits on one descriptor or event).
// Both link through the operations themselves; one that is in a list may not move or die. Inline bodies are in op.h.
#pragma once

namespace weft::io {

class Op;

class OpList {
 public:
  bool empty() const { return first_ == nullptr; }
  void push_back(Op& op);
  void remove(Op& op);
  Op* pop_front();  // nullptr when empty
  // Gives everything away; this list is empty afterwards.
  OpList take() {
    OpList all = *this;
    first_ = last_ = nullptr;
    return all;
  }

 private:
  Op* first_ = nullptr;
  Op* last_ = nullptr;
};

// Stays where it is while it has members: they know it, so that an operation leaves without a search.
class OpChain {
 public:
  void push_back(Op& op);
  void remove(Op& op);
  Op* first() const { return first_; }

 private:
  Op* first_ = nullptr;
  Op* last_ = nullptr;
};

}  // namespace weft::io
