// What an API server makes up: uids, name suffixes, timestamps, and hashes of templates.
#pragma once

#include <string>
#include <string_view>

namespace weft::sandbox {

std::string new_uid();                             // a random UUID
std::string random_suffix(int length);             // of Kubernetes' alphabet, without vowels
std::string now_rfc3339();                         // "2026-01-02T03:04:05Z"
std::string template_hash(std::string_view text);  // 10 characters, the same for the same text

// Seconds since a timestamp as now_rfc3339() writes it; 0 if it is none.
long seconds_since(std::string_view timestamp);

}  // namespace weft::sandbox
