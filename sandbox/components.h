// How Weft's own processes are started in a sandbox: command lines, environments and privileges.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/layout.h"
#include "sandbox/process.h"
#include "sandbox/settings.h"
#include "sandbox/world.h"

namespace weft::sandbox {

// Where readiness is asked for: HTTP GET from inside `net`.
struct ReadyCheck {
  int net = -1;
  std::string address;
  int port = 0;
  std::string path;
};

struct Component {
  std::string name;  // agent | ztunnel | controlplane | dns
  std::string node;  // empty: not of a node
  Spawn command;     // `out` is filled in by the supervisor
  std::string log;
  ReadyCheck ready;  // port 0: ready when it runs
};

// `bin`: the directory with weft-agent, weft-ztunnel, weft-controlplane.
Component control_plane_component(const Layout& layout, const std::string& bin,
                                  const Settings& settings, const Fabric& fabric);
Component agent_component(const Layout& layout, const std::string& bin, const Settings& settings,
                          const Node& node);
Component ztunnel_component(const Layout& layout, const std::string& bin, const Settings& settings,
                            const Node& node);
Component dns_component(const Layout& layout, const Fabric& fabric);

// Makes the directories, tokens and their owners that the above need. Once, before the first start.
Parsed<void> prepare_component_files(const Layout& layout, const std::vector<NodeNet>& nodes);

}  // namespace weft::sandbox
