// What every exchange with an API server has in common: who it is, who we are, HTTP/2, no proxy.
#pragma once

#include <curl/curl.h>

#include <string>

#include "source/kube/access.h"

namespace weft::source::kube {

// Sets `curl` up from nothing. The list of headers is the caller's: it outlives the exchange, then
// curl_slist_free_all().
curl_slist* prepare(CURL* curl, const Access& access, const std::string& path);

}  // namespace weft::source::kube
