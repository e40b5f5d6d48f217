#include "source/kube/transport.h"

namespace weft::source::kube {

curl_slist* prepare(CURL* curl, const Access& access, const std::string& path) {
  curl_easy_reset(curl);
  curl_slist* headers = curl_slist_append(nullptr, "Accept: application/json");
  const std::string bearer = access.bearer();
  if (!bearer.empty())
    headers = curl_slist_append(headers, ("Authorization: Bearer " + bearer).c_str());
  const auto pem = [curl](CURLoption option, const std::string& text) {
    curl_blob blob{const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
    if (!text.empty()) curl_easy_setopt(curl, option, &blob);
  };
  pem(CURLOPT_CAINFO_BLOB, access.ca_pem);
  pem(CURLOPT_SSLCERT_BLOB, access.certificate_pem);
  pem(CURLOPT_SSLKEY_BLOB, access.key_pem);
  curl_easy_setopt(curl, CURLOPT_URL, (access.server + path).c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, 15L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, 5L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5'000L);
  return headers;
}

}  // namespace weft::source::kube
