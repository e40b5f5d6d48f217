#include "sandbox/dns.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::sandbox {

namespace {

std::string full_name(const ServiceView& view) {
  return fmt::format("{}.{}.svc.{}", view.name, view.ns, kClusterDomain);
}

std::vector<std::string> addresses_of(const ServiceView& view) {
  std::vector<std::string> ips = view.vips;
  if (ips.empty()) {
    for (const auto& pod : view.pods) ips.insert(ips.end(), pod.ips.begin(), pod.ips.end());
  }
  return ips;
}

// What an ExternalName leads to, by way of other ExternalNames too. Only Services: there is no
// world outside a sandbox.
std::vector<std::string> alias_addresses(const std::vector<ServiceView>& views,
                                         const ServiceView& alias) {
  constexpr int kAliasesMax = 8;  // in a row: a circle ends here
  const ServiceView* now = &alias;
  for (int i = 0; i < kAliasesMax && !now->external_name.empty(); ++i) {
    const auto target = now->external_name.ends_with('.')
                            ? now->external_name.substr(0, now->external_name.size() - 1)
                            : now->external_name;
    const auto next = std::find_if(views.begin(), views.end(),
                                   [&](const auto& view) { return full_name(view) == target; });
    if (next == views.end()) return {};
    now = &*next;
  }
  return now->external_name.empty() && now != &alias ? addresses_of(*now)
                                                     : std::vector<std::string>();
}

}  // namespace

std::string dns_hosts(const std::vector<ServiceView>& views) {
  std::string text;
  for (const auto& view : views) {
    const auto name = full_name(view);
    for (const auto& ip : alias_addresses(views, view)) text += fmt::format("{} {}\n", ip, name);
    for (const auto& vip : view.vips) text += fmt::format("{} {}\n", vip, name);
    for (const auto& pod : view.pods) {
      for (const auto& ip : pod.ips) {
        if (!pod.hostname.empty()) text += fmt::format("{} {}.{}\n", ip, pod.hostname, name);
        if (view.vips.empty()) text += fmt::format("{} {}\n", ip, name);
      }
    }
  }
  return text;
}

std::string dns_hosts_file(const Layout& layout) { return layout.dns() + "/hosts"; }

Spawn dns_command(const Layout& layout) {
  Spawn what;
  what.argv = {"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=nobody",
               "--group=nogroup", "--pid-file=", "--no-resolv", "--no-hosts", "--no-poll",
               "--log-facility=-", "--bind-interfaces", "--cache-size=1000", "--local-ttl=1",
               fmt::format("--listen-address={}", kControlV4),
               fmt::format("--listen-address={}", kControlV6),
               fmt::format("--addn-hosts={}", dns_hosts_file(layout)),
               fmt::format("--local=/{}/", kClusterDomain), "--local=/in-addr.arpa/",
               "--local=/ip6.arpa/",
               // There is no world outside a sandbox: a name that no Service has does not exist.
               "--local=/#/"};
  what.env = plain_environment();
  return what;
}

}  // namespace weft::sandbox
