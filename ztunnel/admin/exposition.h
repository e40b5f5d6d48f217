// Exposition: every Collectable of the process as Prometheus text, plus the process's own figures. Main thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace prometheus {
class Collectable;
struct MetricFamily;
}  // namespace prometheus

namespace weft::admin {

class Exposition {
 public:
  Exposition();
  ~Exposition();
  void add(std::shared_ptr<prometheus::Collectable> collectable);
  std::string text() const;

 private:
  std::vector<std::shared_ptr<prometheus::Collectable>> collectables_;
};

// Builds families by hand: counters and gauges read at scrape time.
class Families {
 public:
  explicit Families(std::vector<prometheus::MetricFamily>& out) : out_(out) {}
  using Labels = std::vector<std::pair<std::string, std::string>>;
  // Samples of one name follow each other.
  void counter(const char* name, const char* help, double value, const Labels& labels = {});
  void gauge(const char* name, const char* help, double value, const Labels& labels = {});

 private:
  void add(const char* name, const char* help, bool is_gauge, double value, const Labels& labels);
  std::vector<prometheus::MetricFamily>& out_;
};

// A Collectable of one function.
std::shared_ptr<prometheus::Collectable> make_collectable(std::function<void(Families&)> collect);

}  // namespace weft::admin
