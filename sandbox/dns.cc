#include "sandbox/dns.h"

#include <fmt/format.h>

namespace weft::sandbox {

std::string dns_hosts(const std::vector<ServiceView>& views) {
  std::string text;
  for (const auto& view : views) {
    const auto name = fmt::format("{}.{}.svc.{}", view.name, view.ns, kClusterDomain);
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
