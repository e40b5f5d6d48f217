// A certificate of unknown origin, as DER in a handshake and as PEM from a CA. Random bytes never get past the outer SEQUENCE, so the
// input is also taken as an edit of a good certificate: place (2 bytes), new byte, …
#include <openssl/x509.h>

#include <cstdlib>

#include "tests/unit/ztunnel/tls/test_ca.h"
#include "ztunnel/tls/credentials.h"
#include "ztunnel/tls/verify.h"
#include "ztunnel/tls/x509.h"

namespace {

using namespace weft::tls;

std::string good_der() {
  const TestCa ca;
  const Leaf leaf = ca.issue({.uris = {"spiffe://td/ns/n/sa/s", "https://x"}});
  const std::vector<X509Ptr> certificates = read_certificates(leaf.chain_pem);
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificates.front().get(), &bytes);
  std::string der(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

std::string edited(std::string der, const std::uint8_t* data, std::size_t size) {
  for (std::size_t i = 0; i + 2 < size; i += 3) der[(data[i] * 256u + data[i + 1]) % der.size()] = static_cast<char>(data[i + 2]);
  return der;
}

void look_at(std::string_view der) {
  const auto* at = reinterpret_cast<const std::uint8_t*>(der.data());
  X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!certificate) return;
  const std::vector<std::string> names = uri_names(certificate.get());
  Expectation expectation{.is_server = true, .trust_domain = "td"};
  if (judge_names(expectation, names) && expectation.peer.trust_domain != "td") std::abort();
  (void)serial_of(certificate.get());
  (void)to_time(X509_get0_notAfter(certificate.get()));
  (void)Credentials::parse(to_pem(certificate.get()), "", to_pem(certificate.get()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string good = good_der();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  look_at(text);
  look_at(edited(good, data, size));
  std::string detail;
  const auto made = Credentials::parse(text, text, text, &detail);
  if (!made && detail.empty()) std::abort();
  return 0;
}
