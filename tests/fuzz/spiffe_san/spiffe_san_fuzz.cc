// Names of a peer's certificate, one per line, judged in both roles: who is accepted fits the expectation exactly.
#include <cstdlib>

#include "ztunnel/tls/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft;
  std::vector<std::string> names(1);
  for (std::size_t i = 0; i < size; ++i) {
    if (data[i] == '\n') {
      names.emplace_back();
    } else {
      names.back() += static_cast<char>(data[i]);
    }
  }
  for (const std::string& name : names) {
    const auto identity = mesh::Identity::parse(name);
    if (identity && identity->str() != name) std::abort();  // one identity has one spelling
  }
  const mesh::Identity wanted{"td", "n", "s"};
  tls::Expectation client{.any_of = {wanted}}, server{.is_server = true, .trust_domain = "td"};
  if (tls::judge_names(client, names) && client.peer != wanted) std::abort();
  if (tls::judge_names(server, names) && server.peer.trust_domain != "td") std::abort();
  return 0;
}
