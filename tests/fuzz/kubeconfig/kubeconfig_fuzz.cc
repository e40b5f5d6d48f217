// A kubeconfig of any bytes: an Access that keeps its invariants, or one sentence without a secret.
#include "base/assert.h"
#include "source/kube/access.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft::source::kube;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto bytes = base64_decoded(text)) WEFT_ASSERT(bytes->size() <= text.size());
  const auto access = parse_kubeconfig(text, "config");
  if (!access) {
    WEFT_ASSERT(!access.error().text.empty());
    return 0;
  }
  WEFT_ASSERT(access->server.starts_with("https://"));
  WEFT_ASSERT(!access->server.ends_with('/'));
  WEFT_ASSERT(access->certificate_pem.empty() == access->key_pem.empty());
  return 0;
}
