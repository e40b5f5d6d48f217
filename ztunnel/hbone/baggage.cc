#include "ztunnel/hbone/baggage.h"

namespace weft::hbone {
namespace {

constexpr std::string_view kTypes[] = {"deployment", "cronjob", "pod", "job"};

void add(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  if (!out.empty()) out += ',';
  out.append(key).append("=").append(value);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The <type> of "k8s.<type>.name", or empty.
std::string_view workload_type_of(std::string_view key) {
  constexpr std::string_view kPrefix = "k8s.", kSuffix = ".name";
  if (!key.starts_with(kPrefix) || !key.ends_with(kSuffix) || key.size() <= kPrefix.size() + kSuffix.size()) return {};
  const std::string_view type = key.substr(kPrefix.size(), key.size() - kPrefix.size() - kSuffix.size());
  for (std::string_view known : kTypes) {
    if (type == known) return type;
  }
  return {};
}

void take(Baggage& baggage, std::string_view key, std::string_view value) {
  if (key == "k8s.cluster.name") {
    baggage.cluster = value;
  } else if (key == "k8s.namespace.name") {
    baggage.ns = value;
  } else if (key == "service.name") {
    baggage.service_name = value;
  } else if (key == "service.version") {
    baggage.service_version = value;
  } else if (key == "cloud.region") {
    baggage.region = value;
  } else if (key == "cloud.availability_zone") {
    baggage.zone = value;
  } else if (const std::string_view type = workload_type_of(key); !type.empty()) {
    baggage.workload_type = type;
    baggage.workload_name = value;
  }
}

}  // namespace

std::string format_baggage(const Baggage& baggage) {
  std::string out;
  add(out, "k8s.cluster.name", baggage.cluster);
  add(out, "k8s.namespace.name", baggage.ns);
  if (!baggage.workload_type.empty()) add(out, "k8s." + baggage.workload_type + ".name", baggage.workload_name);
  add(out, "service.name", baggage.service_name);
  add(out, "service.version", baggage.service_version);
  add(out, "cloud.region", baggage.region);
  add(out, "cloud.availability_zone", baggage.zone);
  return out;
}

Baggage parse_baggage(std::string_view header) {
  Baggage baggage;
  while (!header.empty()) {
    const std::size_t comma = header.find(',');
    std::string_view entry = header.substr(0, comma);
    header = comma == std::string_view::npos ? std::string_view() : header.substr(comma + 1);
    entry = entry.substr(0, entry.find(';'));
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view value = trim(entry.substr(equals + 1));
    if (!value.empty()) take(baggage, trim(entry.substr(0, equals)), value);
  }
  return baggage;
}

}  // namespace weft::hbone
