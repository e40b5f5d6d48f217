#include "ztunnel/admin/exposition.h"

#include <dirent.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

namespace weft::admin {
namespace {

double open_descriptors() {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  double count = -3;  // ".", ".." and the directory's own
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

double resident_bytes() {
  FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  long total = 0, resident = 0;
  const int got = std::fscanf(file, "%ld %ld", &total, &resident);
  std::fclose(file);
  return got == 2 ? static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) : 0;
}

void collect_process(Families& out) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  out.gauge("process_open_fds", "Number of open file descriptors.", open_descriptors());
  out.gauge("process_max_fds", "Maximum number of open file descriptors.", static_cast<double>(limit.rlim_cur));
  out.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", resident_bytes());
  out.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
              seconds(usage.ru_utime) + seconds(usage.ru_stime));
}

class FunctionCollectable final : public prometheus::Collectable {
 public:
  explicit FunctionCollectable(std::function<void(Families&)> collect) : collect_(std::move(collect)) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> out;
    Families families(out);
    collect_(families);
    return out;
  }

 private:
  const std::function<void(Families&)> collect_;
};

}  // namespace

void Families::counter(const char* name, const char* help, double value, const Labels& labels) {
  add(name, help, false, value, labels);
}
void Families::gauge(const char* name, const char* help, double value, const Labels& labels) {
  add(name, help, true, value, labels);
}

void Families::add(const char* name, const char* help, bool is_gauge, double value, const Labels& labels) {
  if (out_.empty() || out_.back().name != name) {
    auto& family = out_.emplace_back();
    family.name = name;
    family.help = help;
    family.type = is_gauge ? prometheus::MetricType::Gauge : prometheus::MetricType::Counter;
  }
  prometheus::ClientMetric metric;
  for (const auto& [label, text] : labels) metric.label.push_back({label, text});
  (is_gauge ? metric.gauge.value : metric.counter.value) = value;
  out_.back().metric.push_back(std::move(metric));
}

std::shared_ptr<prometheus::Collectable> make_collectable(std::function<void(Families&)> collect) {
  return std::make_shared<FunctionCollectable>(std::move(collect));
}

Exposition::Exposition() { add(make_collectable(collect_process)); }
Exposition::~Exposition() = default;

void Exposition::add(std::shared_ptr<prometheus::Collectable> collectable) {
  collectables_.push_back(std::move(collectable));
}

std::string Exposition::text() const {
  std::vector<prometheus::MetricFamily> all;
  for (const auto& each : collectables_) {
    for (auto& family : each->Collect()) {
      if (!family.metric.empty()) all.push_back(std::move(family));
    }
  }
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace weft::admin
