#include "ztunnel/proxy/dns_names.h"

#include <string>
#include <utility>

namespace weft::proxy::dns {
namespace {

struct Match {
  mesh::ServicePtr service;
  bool stripped = false;  // a search domain had to be cut off: say so with a CNAME
};

// `name` without ".<suffix>", or empty.
std::string_view strip(std::string_view name, std::string_view suffix) {
  if (name.size() <= suffix.size() + 1 || !name.ends_with(suffix)) return {};
  name.remove_suffix(suffix.size());
  if (!name.ends_with('.')) return {};
  name.remove_suffix(1);
  return name;
}

mesh::ServicePtr wildcard(const mesh::Snapshot& snapshot, std::string_view name,
                          std::string_view ns) {
  for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    if (auto found = snapshot.service_by_hostname("*" + std::string(name.substr(dot)), ns))
      return found;
  }
  return nullptr;
}

// Exact, then what is left without the search path, then wildcards of each, most specific first.
Match find(const mesh::Snapshot& snapshot, std::string_view name, std::string_view ns,
           std::string_view domain) {
  const std::string svc = "svc." + std::string(domain);
  const std::string own = std::string(ns) + "." + svc;
  const std::string_view names[] = {name, strip(name, own), strip(name, svc), strip(name, domain)};
  for (const auto& each : names) {
    if (each.empty()) continue;
    if (auto found = snapshot.service_by_hostname(each, ns))
      return {std::move(found), each.size() != name.size()};
  }
  for (const auto& each : names) {
    if (each.empty()) continue;
    if (auto found = wildcard(snapshot, each, ns))
      return {std::move(found), each.size() != name.size()};
  }
  return {};
}

bool wanted(const mesh::Service& service, const IpAddress& ip, std::uint16_t type) {
  if (ip.is_v4()) return type == kTypeA && service.ip_families != mesh::IpFamilies::kV6Only;
  return type == kTypeAaaa && service.ip_families != mesh::IpFamilies::kV4Only;
}

void shuffle(std::vector<IpAddress>& addresses, const mesh::Random& random) {
  for (std::size_t left = addresses.size(); left > 1; --left)
    std::swap(addresses[left - 1], addresses[random(left)]);
}

bool usable(const mesh::Service& service, const mesh::Workload& workload) {
  return workload.healthy || service.load_balancing.allow_unhealthy;
}

// Headless: the endpoints' own addresses; nullopt without any (then the cluster's DNS knows what to
// say).
std::optional<Reply> headless(const mesh::Snapshot& snapshot, const mesh::Service& service,
                              std::string_view pod, std::uint16_t type,
                              const mesh::Random& random) {
  Reply reply{.authoritative = true};
  bool any = false;
  for (const auto& workload : snapshot.endpoints(service.key())) {
    if (!pod.empty() && workload->name != pod) continue;
    if (!usable(service, *workload)) continue;
    for (const auto& ip : workload->addresses) {
      any = true;
      if (wanted(service, ip, type)) reply.addresses.push_back(ip);
    }
  }
  if (!any) return std::nullopt;
  shuffle(reply.addresses, random);
  return reply;
}

}  // namespace

std::optional<Reply> lookup(const mesh::Snapshot& snapshot, const mesh::Workload& client,
                            std::string_view cluster_domain, std::string_view name,
                            std::uint16_t type, const mesh::Random& random) {
  if (name.empty() || (type != kTypeA && type != kTypeAaaa)) return std::nullopt;
  const std::string suffix = ".svc." + std::string(cluster_domain);
  if (auto [service, stripped] = find(snapshot, name, client.ns, cluster_domain); service) {
    std::optional<Reply> reply;
    bool has_vip = false;
    Reply vips{.authoritative = true};
    for (const auto& address : service->addresses) {
      if (address.network != snapshot.network() || address.length) continue;
      has_vip = true;
      if (wanted(*service, address.ip, type)) vips.addresses.push_back(address.ip);
    }
    if (has_vip) {
      shuffle(vips.addresses, random);
      reply = std::move(vips);
    } else if (service->hostname.ends_with(suffix)) {
      reply = headless(snapshot, *service, {}, type, random);
    }
    if (reply && stripped)
      reply->canonical = service->hostname.starts_with("*.") ? std::string() : service->hostname;
    return reply;
  }
  // <pod>.<headless service>.<ns>.svc.<domain>
  const auto dot = name.find('.');
  if (dot == std::string_view::npos || !name.ends_with(suffix)) return std::nullopt;
  auto parent = snapshot.service_by_hostname(name.substr(dot + 1), client.ns);
  if (!parent || !parent->addresses.empty()) return std::nullopt;
  return headless(snapshot, *parent, name.substr(0, dot), type, random);
}

}  // namespace weft::proxy::dns
