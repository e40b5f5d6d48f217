#include "agent/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

namespace weft::agent {

namespace {

using Family = prometheus::MetricFamily;
using Label = prometheus::ClientMetric::Label;

Family family(prometheus::MetricType type, const char* name, const char* help) {
  Family made;
  made.name = name;
  made.help = help;
  made.type = type;
  return made;
}

void add(Family& into, double value, std::vector<Label> labels = {}) {
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  into.type == prometheus::MetricType::Counter ? metric.counter.value = value : metric.gauge.value = value;
  into.metric.push_back(std::move(metric));
}

Label label(const char* name, std::string_view value) { return {name, std::string(value)}; }

Family single(prometheus::MetricType type, const char* name, const char* help, double value) {
  Family made = family(type, name, help);
  add(made, value);
  return made;
}

void add_bpf(std::vector<Family>& families, const MetricFacts& facts) {
  using enum prometheus::MetricType;
  Family events = family(Counter, "weft_bpf_events_total", "Decisions of the BPF hooks, by hook and result.");
  for (std::size_t i = 0; i < facts.events.size(); ++i) {
    const auto name = bpf::counter_name(static_cast<weft_counter>(i));
    add(events, static_cast<double>(facts.events[i]), {label("hook", name.hook), label("result", name.result)});
  }
  Family entries = family(Gauge, "weft_bpf_map_entries", "Entries in a BPF map.");
  Family most = family(Gauge, "weft_bpf_map_max_entries", "Entries a BPF map has room for.");
  for (const auto& map : facts.maps) {
    add(entries, map.entries, {label("map", map.name)});
    add(most, map.entries_max, {label("map", map.name)});
  }
  Family programs = family(Gauge, "weft_bpf_program_info", "Loaded BPF programs and their kernel ids; always 1.");
  for (const auto& program : facts.programs) add(programs, 1, {label("name", program.name), label("id", std::to_string(program.id))});
  for (auto* made : {&events, &entries, &most, &programs}) families.push_back(std::move(*made));
}

void add_pods(std::vector<Family>& families, const MetricFacts& facts) {
  using enum prometheus::MetricType;
  Family pods = family(Gauge, "weft_pods", "Enrolled pods of this node, by state.");
  for (int i = 0; i < kStateCount - 1; ++i) {  // none is ever seen gone
    const auto state = static_cast<State>(i);
    add(pods, static_cast<double>(std::ranges::count(facts.pods, state, &PodView::state)), {label("state", to_string(state))});
  }
  families.push_back(std::move(pods));
  families.push_back(single(Counter, "weft_pods_captured_total", "Pods that became captured.", static_cast<double>(facts.enroller.captured_total)));
  families.push_back(single(Counter, "weft_pods_released_total", "Pods that were released from capture.", static_cast<double>(facts.enroller.released_total)));
  Family failures = family(Counter, "weft_pods_enroll_failures_total", "Attempts to enroll a pod that failed, by who said no.");
  add(failures, static_cast<double>(facts.enroller.failed_total), {label("by", "agent")});
  add(failures, static_cast<double>(facts.enroller.refused_total), {label("by", "ztunnel")});
  families.push_back(std::move(failures));
}

void add_link(std::vector<Family>& families, const MetricFacts& facts) {
  using enum prometheus::MetricType;
  families.push_back(single(Gauge, "weft_ztunnel_connected", "Connections of ztunnels to the agent.", static_cast<double>(facts.ztunnels)));
  families.push_back(single(Counter, "weft_sockets_granted_total", "Sockets opened in pods for ztunnel.", static_cast<double>(facts.sockets_granted_total)));
  families.push_back(single(Counter, "weft_socket_requests_refused_total", "Requests for sockets that were refused.", static_cast<double>(facts.socket_requests_refused_total)));
  families.push_back(single(Gauge, "weft_source_problems", "Manifest files that are broken.", static_cast<double>(facts.source_problems)));
  Family generation = family(Gauge, "weft_config_generation", "Generation of the configuration, by the stage it has reached.");
  add(generation, static_cast<double>(facts.source_generation), {label("stage", "source")});
  add(generation, static_cast<double>(facts.applied_generation), {label("stage", "applied")});
  families.push_back(std::move(generation));
  Family build = family(Gauge, "weft_build_info", "Version of this component; always 1.");
  add(build, 1, {label("component", "agent"), label("version", WEFT_VERSION)});
  families.push_back(std::move(build));
}

}  // namespace

std::string metrics_text(const MetricFacts& facts) {
  std::vector<Family> families;
  add_bpf(families, facts);
  add_pods(families, facts);
  add_link(families, facts);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace weft::agent
