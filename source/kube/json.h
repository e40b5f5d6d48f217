// JSON of the API server: simdjson reads, nlohmann holds.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "base/result.h"

namespace weft::source::kube {

// One owner, one thread. Keeps its buffers between documents.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();
  // Refused: what is no JSON, not UTF-8, nested deeper than kMaxDepth, larger than `bytes_max`.
  Parsed<nlohmann::json> read(std::string_view text, std::size_t bytes_max);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace weft::source::kube
