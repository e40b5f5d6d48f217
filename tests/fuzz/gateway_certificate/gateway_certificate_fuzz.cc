// The Secret of a gateway, from whoever may write one: chain, key and roots as bytes of any kind,
// and as edits of a pair that fits. One sentence or a pair that OpenSSL takes; no byte of a key is
// in the sentence.
#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "controlplane/ca/x509.h"
#include "controlplane/translate/l7/certificate.h"
#include "controlplane/translate/l7/objects.h"

namespace {

using namespace weft;
using namespace weft::controlplane;

struct Pair {
  std::string chain, key;
};

const Pair& good() {
  static const Pair pair = [] {
    const auto key = ca::make_key();
    const auto from = WallClock::time_point{} + std::chrono::hours(1'000'000 / 2);
    const auto cert = ca::make_root(key.get(), "td", from, from + std::chrono::hours(24));
    return Pair{ca::cert_pem(cert.get()), ca::key_pem(key.get())};
  }();
  return pair;
}

// Edits: place (2 bytes), new byte, ….
std::string edited(std::string text, std::string_view edits) {
  for (std::size_t i = 0; i + 2 < edits.size(); i += 3) {
    const auto at =
        static_cast<std::uint8_t>(edits[i]) * 256u + static_cast<std::uint8_t>(edits[i + 1]);
    text[at % text.size()] = edits[i + 2];
  }
  return text;
}

void judge(const std::string& chain, const std::string& key, const std::string& roots) {
  const std::string why = translate::l7::why_no_certificate(chain, key, roots);
  if (why.empty()) {
    if (chain.empty()) return;  // roots alone
    const auto certs = ca::parse_certs(chain);
    const auto parsed = ca::parse_key(key);
    if (certs && parsed) WEFT_ASSERT(ca::matches(certs->front().get(), parsed->get()));
    return;
  }
  WEFT_ASSERT(why.size() < 100);
  WEFT_ASSERT(why.starts_with("tls.") || why.starts_with("ca.crt"));
}

// The same as a Secret's data, base64 of any kind.
void store(const std::string& chain, const std::string& key) {
  nlohmann::json body = {{"apiVersion", "v1"},
                         {"kind", "Secret"},
                         {"metadata", {{"name", "s"}, {"namespace", "n"}}},
                         {"data", {{"tls.crt", chain}, {"tls.key", key}}}};
  const auto object = source::make_object(std::move(body), "f.yaml:1");
  if (!object) return;
  translate::l7::Objects objects("cluster.local");
  (void)objects.put(**object, false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool fits = translate::l7::why_no_certificate(good().chain, good().key, "").empty();
  WEFT_ASSERT(fits);
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view first = all.substr(0, all.size() / 2), second = all.substr(first.size());
  judge(std::string(first), std::string(second), "");
  judge(edited(good().chain, first), edited(good().key, second), "");
  judge(good().chain + std::string(first), good().key, std::string(second));
  judge("", "", std::string(all));
  store(std::string(first), std::string(second));
  return 0;
}
