// SpanBio: what OpenSSL reads from and writes to: a span that was fed, and an Output that takes the ciphertext. No copies in between.
#pragma once

#include <openssl/bio.h>

#include <cstddef>
#include <span>

struct ssl_st;

namespace weft::tls {

class Output;

struct SpanBio {
  std::span<const std::byte> in;  // shrinks as it is read
  Output* out = nullptr;          // set before every call into OpenSSL

  // Gives `ssl` a BIO whose two ends are these. REQUIRES: this object does not move and outlives `ssl`.
  void attach(ssl_st* ssl);
};

}  // namespace weft::tls
