// Access: where an API server is and how we prove ourselves to it. From a kubeconfig, or from what
// Kubernetes gives to every pod. Secrets stay out of every text.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weft::source::kube {

struct Access {
  std::string server;           // "https://10.0.0.1:6443", no slash at its end
  std::string tls_server_name;  // empty: the host of `server`
  std::string ca_pem;
  std::string token, token_file;  // of the file: read for every request, it is rotated
  std::string certificate_pem, key_pem;

  // What goes into "Authorization: Bearer"; empty when there is none.
  std::string bearer() const;
};

// The current context. Refused: no https, insecure-skip-tls-verify, exec and auth-provider plugins.
Parsed<Access> parse_kubeconfig(const std::string& text, const std::string& file);
// `kubeconfig` empty: in a pod.
Parsed<Access> find_access(const std::string& kubeconfig);

// RFC 4648, padding required, white space refused.
Parsed<std::string> base64_decoded(std::string_view text);

}  // namespace weft::source::kube
