// What a gateway serves TLS with, looked at before it goes anywhere. Pure.
#pragma once

#include <string>

namespace weft::controlplane::translate::l7 {

// Why these cannot be served, as the end of "Secret NS/NAME …", or "". `chain_pem` and `key_pem`
// must fit each other; `ca_pem` may be empty. Nothing of the key is in the answer.
std::string why_no_certificate(const std::string& chain_pem, const std::string& key_pem,
                               const std::string& ca_pem);

}  // namespace weft::controlplane::translate::l7
