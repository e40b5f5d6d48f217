// A certificate of unknown origin, as DER in a handshake and as PEM from a CA.
#include <openssl/x509.h>

#include <cstdlib>

#include "ztunnel/tls/credentials.h"
#include "ztunnel/tls/verify.h"
#include "ztunnel/tls/x509.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft::tls;
  const std::uint8_t* at = data;
  X509Ptr certificate(d2i_X509(nullptr, &at, static_cast<long>(size)));
  if (certificate) {
    const std::vector<std::string> names = uri_names(certificate.get());
    Expectation expectation{.is_server = true, .trust_domain = "td"};
    (void)judge_names(expectation, names);
    (void)serial_of(certificate.get());
    (void)to_time(X509_get0_notAfter(certificate.get()));
  }
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string detail;
  const auto made = Credentials::parse(text, text, text, &detail);
  if (!made && detail.empty()) std::abort();
  return 0;
}
