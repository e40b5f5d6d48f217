#include "ztunnel/proxy/metrics.h"

#include "base/assert.h"

namespace weft::proxy {
namespace {

constexpr char kSeparator = '\x1f';

void split(std::string_view key, std::vector<std::string_view>& out) {
  out.clear();
  for (;;) {
    auto at = key.find(kSeparator);
    out.push_back(key.substr(0, at));
    if (at == std::string_view::npos) return;
    key.remove_prefix(at + 1);
  }
}

template <class Family, class Visitor>
void visit(const Family& family, const Visitor& visitor) {
  std::vector<std::string_view> values;
  for (const auto& [key, series] : family.by_key) {
    split(key, values);
    visitor(values, *series);
  }
}

}  // namespace

template <class Series>
Series& MetricsShard::find(Family<Series>& family, std::span<const std::string_view> values) {
  WEFT_ASSERT(values.size() == family.label_count);
  scratch_.clear();
  for (auto value : values) {
    if (!scratch_.empty()) scratch_ += kSeparator;
    // An absent value is written "unknown", so that no key part is empty.
    scratch_ += value.empty() ? std::string_view("unknown") : value;
  }
  if (auto known = family.by_key.find(scratch_); known != family.by_key.end())
    return *known->second;
  if (family.by_key.size() >= kSeriesMax) {
    overflowed.add(1);
    scratch_ = "unknown";
    for (std::size_t i = 1; i < family.label_count; ++i) (scratch_ += kSeparator) += "unknown";
    if (auto known = family.by_key.find(scratch_); known != family.by_key.end())
      return *known->second;
  }
  auto series = std::make_unique<Series>();
  Series& made = *series;
  std::lock_guard lock(shape_);
  family.by_key.emplace(scratch_, std::move(series));
  return made;
}

TrafficSeries& MetricsShard::traffic(std::span<const std::string_view> values) {
  return find(traffic_, values);
}

DnsSeries& MetricsShard::dns(std::span<const std::string_view> values) {
  return find(dns_, values);
}

void MetricsShard::visit_traffic(const TrafficVisitor& visitor) const {
  std::lock_guard lock(shape_);
  visit(traffic_, visitor);
}

void MetricsShard::visit_dns(const DnsVisitor& visitor) const {
  std::lock_guard lock(shape_);
  visit(dns_, visitor);
}

MetricsShard& Metrics::add_shard() {
  return *shards_.emplace_back(std::make_unique<MetricsShard>());
}

}  // namespace weft::proxy
