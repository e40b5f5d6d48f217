#include "ztunnel/io/event.h"

#include <cerrno>

namespace weft::io {

Event::~Event() {
  WEFT_ASSERT(waits_.first() == nullptr);
  while (hooks_ != nullptr) hooks_->leave();
}

void Event::set() {
  if (set_) return;
  set_ = true;
  while (Op* op = waits_.first()) loop_.complete(*op, 0);
  for (Hook* hook = hooks_; hook != nullptr;) {
    Hook* next = hook->next_;
    hook->act_(*hook);
    hook = next;
  }
}

void Event::cancel_waits() {
  while (Op* op = waits_.first()) loop_.complete(*op, -ECANCELED);
}

Result<void> Event::Wait::await_resume() const {
  if (state_ == State::kNew) return {};  // it was set already
  if (result_ < 0) return failure("wait");
  return {};
}

void Event::Hook::join(Event& event) {
  leave();
  if (event.set_) {
    act_(*this);
    return;
  }
  event_ = &event;
  prev_ = nullptr;
  next_ = event.hooks_;
  if (next_ != nullptr) next_->prev_ = this;
  event.hooks_ = this;
}

void Event::Hook::leave() {
  if (event_ == nullptr) return;
  (prev_ != nullptr ? prev_->next_ : event_->hooks_) = next_;
  if (next_ != nullptr) next_->prev_ = prev_;
  event_ = nullptr;
  next_ = prev_ = nullptr;
}

}  // namespace weft::io
