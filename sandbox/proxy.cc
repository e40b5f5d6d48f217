#include "sandbox/proxy.h"

#include <fmt/format.h>

#include <set>
#include <string_view>

#include "sandbox/address.h"

namespace weft::sandbox {
namespace {

struct Family {
  const char* nft;        // keyword
  const char* type;       // type of an address
  const char* map;        // name of the map of services
  const char* hairpin;    // name of the set of own addresses
  std::string_view cidr;  // of services
};
constexpr Family kV4 = {"ip", "ipv4_addr", "services_v4", "self_v4", kServiceCidrV4};
constexpr Family kV6 = {"ip6", "ipv6_addr", "services_v6", "self_v6", kServiceCidrV6};

struct Text {
  std::string chains;    // one per service port with backends
  std::string elements;  // of the services map
  std::set<std::string> backends;
  int count = 0;
};

void add_port(Text& text, const Family& family, const ServiceView& view, const std::string& vip,
              const ServicePort& port, const std::vector<Backend>& backends) {
  if (backends.empty() || (port.protocol != "tcp" && port.protocol != "udp")) return;
  const auto chain = fmt::format("{}_{}", family.map, ++text.count);
  std::string choice;
  int index = 0;
  for (const auto& backend : backends) {
    choice +=
        fmt::format("{}{} : {} . {}", index == 0 ? "" : ", ", index, backend.ip, backend.port);
    text.backends.insert(backend.ip);
    ++index;
  }
  text.chains += fmt::format(
      " chain {} {{  # {}/{}:{}\n  meta l4proto {} dnat {} addr . port to numgen random mod {} map "
      "{{ {} }}\n }}\n",
      chain, view.ns, view.name, port.port, port.protocol, family.nft, backends.size(), choice);
  text.elements += fmt::format("{}   {} . {} . {} : goto {}", text.elements.empty() ? "" : ",\n",
                               vip, port.protocol, port.port, chain);
}

std::string family_text(const Family& family, const std::vector<ServiceView>& views) {
  Text text;
  for (const auto& view : views) {
    for (const auto& vip : view.vips) {
      const bool v6 = vip.find(':') != std::string::npos;
      if (v6 != (&family == &kV6)) continue;
      for (const auto& port : view.ports)
        add_port(text, family, view, vip, port, v6 ? port.v6 : port.v4);
    }
  }
  std::string self;
  for (const auto& ip : text.backends)
    self += fmt::format("{}{} . {}", self.empty() ? "" : ", ", ip, ip);
  const auto elements = [](const std::string& of) {
    return of.empty() ? std::string() : "  elements = {\n" + of + " }\n";
  };
  return fmt::format(
      "{0} map {1} {{\n  type {2} . inet_proto . inet_service : verdict\n{3} }}\n set {4} {{\n  "
      "type {2} . {2}\n{5} }}\n",
      text.chains, family.map, family.type, elements(text.elements), family.hairpin,
      elements(self.empty() ? self : "   " + self));
}

std::string jump(const Family& family) {
  return fmt::format("  {} daddr . meta l4proto . th dport vmap @{}\n", family.nft, family.map);
}

// A ClusterIP that nobody translated has no ready pod or no such port: refuse, as kube-proxy does.
std::string refuse(const Family& family) {
  return fmt::format(
      "  {0} daddr {1} meta l4proto tcp reject with tcp reset\n  {0} daddr {1} reject\n",
      family.nft, family.cidr);
}

}  // namespace

std::string nft_ruleset(const std::vector<ServiceView>& views) {
  std::string text =
      "table inet weft_services\ndelete table inet weft_services\ntable inet weft_services {\n";
  text += family_text(kV4, views);
  text += family_text(kV6, views);
  text += " chain from_pods {\n  type nat hook prerouting priority dstnat;\n" + jump(kV4) +
          jump(kV6) + " }\n";
  text += " chain from_node {\n  type nat hook output priority -100;\n" + jump(kV4) + jump(kV6) +
          " }\n";
  // A pod that reaches itself through a Service must not see its own address as the client's: it
  // would not answer.
  text += fmt::format(
      " chain hairpin {{\n  type nat hook postrouting priority srcnat;\n"
      "  ct status dnat ip saddr . ip daddr @{} masquerade\n  ct status dnat ip6 saddr . ip6 daddr "
      "@{} masquerade\n }}\n",
      kV4.hairpin, kV6.hairpin);
  text += " chain refuse_pods {\n  type filter hook forward priority filter;\n" + refuse(kV4) +
          refuse(kV6) + " }\n";
  text += " chain refuse_node {\n  type filter hook output priority filter;\n" + refuse(kV4) +
          refuse(kV6) + " }\n";
  return text + "}\n";
}

}  // namespace weft::sandbox
