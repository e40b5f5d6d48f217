// Cluster DNS: a stock dnsmasq on the control plane's address, fed by a hosts file. The text is
// pure; Dns starts and reloads it.
#pragma once

#include <string>
#include <vector>

#include "sandbox/endpoints.h"
#include "sandbox/layout.h"
#include "sandbox/process.h"

namespace weft::sandbox {

// Hosts-file lines of every Service (ClusterIPs, or the pods of a headless one) and every headless
// pod with a hostname.
std::string dns_hosts(const std::vector<ServiceView>& views);

std::string dns_hosts_file(const Layout& layout);

// How dnsmasq is started. SIGHUP makes it read the hosts file again.
Spawn dns_command(const Layout& layout);

}  // namespace weft::sandbox
