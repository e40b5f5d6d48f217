// An HTTP/1.1 server of a test's own, which an Envoy asks.
// Owner: the test; a thread for each connection, its accessors are for any thread.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/net.h"

namespace weft::controlplane::envoy {

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  out.sin_port = htons(port);
  return out;
}

// Answers every request with 200 (or `status`), its name, and the head that it got.
class Upstream {
 public:
  explicit Upstream(std::string name, const std::string& at = "127.0.0.1:0")
      : name_(std::move(name)) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto where = SocketAddress::parse(at);
    sockaddr_in address = loopback(where->port);
    std::memcpy(&address.sin_addr, where->ip.bytes().data(), sizeof address.sin_addr);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
        << at << ": " << std::strerror(errno);
    ::listen(listener_.get(), 128);
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~Upstream() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    {
      std::lock_guard lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& one : threads_) one.join();
  }
  std::uint16_t port() const { return port_; }
  int requests() const { return requests_; }
  int peak() const { return peak_; }  // most requests at once
  std::vector<Clock::time_point> arrivals() const {
    std::lock_guard lock(mutex_);
    return arrivals_;
  }
  std::string last_head() const {
    std::lock_guard lock(mutex_);
    return last_head_;
  }
  std::atomic<int> status{200};
  std::atomic<int> failing{0};   // so many requests more are answered 503
  std::atomic<int> delay_ms{0};  // before each answer

 private:
  void accept_all() {
    for (;;) {
      Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd) return;
      std::lock_guard lock(mutex_);
      open_.push_back(fd.get());
      threads_.emplace_back([this, fd = std::move(fd)] { serve(fd.get()); });
    }
  }
  static bool more(int fd, std::string& in) {
    char buffer[8192];
    const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    in.append(buffer, static_cast<std::size_t>(got));
    return true;
  }
  void serve(int fd) {
    std::string in;
    for (;;) {
      auto end = in.find("\r\n\r\n");
      if (end == std::string::npos) {
        if (!more(fd, in)) break;
        continue;
      }
      const std::string head = in.substr(0, end + 2);
      std::size_t body = 0;  // one in chunks is read to its end: the next head comes after it
      if (head.find("transfer-encoding: chunked") != std::string::npos) {
        body = in.find("\r\n0\r\n\r\n", end + 2);
        if (body == std::string::npos) {
          if (!more(fd, in)) break;
          continue;
        }
        body += 7 - (end + 4);
      }
      const std::string out = answer(head);
      in.erase(0, end + 4 + body);
      ::send(fd, out.data(), out.size(), MSG_NOSIGNAL);
    }
    std::lock_guard lock(mutex_);
    std::erase(open_, fd);
  }
  std::string answer(const std::string& head) {
    ++requests_;
    const int now = ++busy_;
    for (int peak = peak_; now > peak && !peak_.compare_exchange_weak(peak, now);) {
    }
    {
      std::lock_guard lock(mutex_);
      arrivals_.push_back(Clock::now());
      last_head_ = head;
    }
    int code = status;
    for (int left = failing; left > 0;) {
      if (!failing.compare_exchange_weak(left, left - 1)) continue;
      code = 503;
      break;
    }
    if (delay_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    --busy_;
    const std::string body = name_ + "\n" + head;
    return "HTTP/1.1 " + std::to_string(code) +
           " Here\r\ncontent-length: " + std::to_string(body.size()) + "\r\nx-upstream: " + name_ +
           "\r\n\r\n" + body;
  }

  const std::string name_;
  Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> requests_{0}, busy_{0}, peak_{0};
  std::thread acceptor_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::vector<Clock::time_point> arrivals_;
  std::string last_head_;
};

}  // namespace weft::controlplane::envoy
