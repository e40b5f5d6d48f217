// The bridge to prometheus-cpp: a Collectable over all shards, merged at scrape. Not built in
// WEFT_CORE_ONLY.
#pragma once

#include <memory>
#include <string>

namespace prometheus {
class Collectable;
}

namespace weft::proxy {

class Metrics;

// Register the result with an Exposer or collect it by hand. `metrics` outlives it. `version` goes
// to istio_build's tag.
std::shared_ptr<prometheus::Collectable> make_collector(const Metrics& metrics,
                                                        std::string version);

}  // namespace weft::proxy
