#include "ztunnel/tls/span_bio.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

#include "ztunnel/tls/output.h"

namespace weft::tls {
namespace {

SpanBio& of(BIO* bio) { return *static_cast<SpanBio*>(BIO_get_data(bio)); }

int read_span(BIO* bio, char* into, int count) {
  SpanBio& wire = of(bio);
  BIO_clear_retry_flags(bio);
  if (wire.in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::size_t taken = std::min(wire.in.size(), static_cast<std::size_t>(count));
  std::memcpy(into, wire.in.data(), taken);
  wire.in = wire.in.subspan(taken);
  return static_cast<int>(taken);
}

int write_output(BIO* bio, const char* from, int count) {
  BIO_clear_retry_flags(bio);
  of(bio).out->append(std::as_bytes(std::span(from, static_cast<std::size_t>(count))));
  return count;
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* make_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "span");
  BIO_meth_set_read(method, read_span);
  BIO_meth_set_write(method, write_output);
  BIO_meth_set_ctrl(method, control);
  BIO_meth_set_create(method, create);
  return method;
}

}  // namespace

void SpanBio::attach(ssl_st* ssl) {
  static BIO_METHOD* const method = make_method();  // OpenSSL wants it to live as long as any BIO made of it
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, this);
  SSL_set_bio(ssl, bio, bio);
}

}  // namespace weft::tls
