// Chain: weft-cni stays chained behind the node's CNI plugins. Others write that configuration too (the CNI's own installer, an upgrade):
// whoever overwrites it loses our link for as long as it takes to look again. One owner, one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weft::cni {

struct ChainOptions {
  std::string config_directory;  // /etc/cni/net.d as the agent sees it; empty: nothing is done
  std::string bin_directory;     // /opt/cni/bin as the agent sees it
  std::string plugin = "/usr/local/bin/weft-cni";
  std::string socket;  // of the agent's API, as the node sees it
  std::vector<std::string> exempt = {"kube-system", "weft-system"};
};

// The list of plugins with our link at its end (moved there, and made what it should be, if it is elsewhere). The same text when nothing is to
// be done. Errors name the field.
Parsed<std::string> with_link(std::string_view conflist, const ChainOptions& options);
Parsed<std::string> without_link(std::string_view conflist);

class Chain {
 public:
  explicit Chain(ChainOptions options) : options_(std::move(options)) {}

  bool wanted() const { return !options_.config_directory.empty(); }
  // The binary first, then the configuration that names it; each written beside and renamed. True: something was written.
  // Errors: no configuration (yet), one that cannot be chained, a directory that cannot be written.
  Parsed<bool> ensure() const;
  // The configuration first. What is not there is no error.
  Parsed<void> remove() const;

 private:
  // The file that the runtime takes: the first by name.
  Parsed<std::string> config_file() const;

  const ChainOptions options_;
};

}  // namespace weft::cni
