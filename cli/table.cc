#include "cli/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::at;
using sandbox::Json;
using sandbox::list;
using sandbox::name_of;
using sandbox::ns_of;
using sandbox::number;
using sandbox::str;

using Row = std::vector<std::string>;

std::string joined(const Json& values) {
  std::string text;
  for (const auto& value : values)
    text +=
        (text.empty() ? "" : ",") + (value.is_string() ? value.get<std::string>() : value.dump());
  return text.empty() ? "<none>" : text;
}

// What `kubectl get pods` shows under STATUS.
std::string pod_status(const Json& pod) {
  if (at(pod, {"metadata", "deletionTimestamp"}) != nullptr) return "Terminating";
  std::string status = str(pod, {"status", "phase"}, "Pending");
  if (status == "Succeeded") status = "Completed";
  for (const auto& c : list(pod, {"status", "containerStatuses"})) {
    if (const auto reason = str(c, {"state", "waiting", "reason"}); !reason.empty()) return reason;
    if (str(c, {"state", "terminated", "reason"}) == "Error") status = "Error";
  }
  if (const auto reason = str(pod, {"status", "reason"}); status == "Pending" && !reason.empty())
    return reason;
  return status;
}

Row pod_row(const Json& pod, const std::string& age, bool wide) {
  int ready = 0;
  long restarts = 0;
  for (const auto& c : list(pod, {"status", "containerStatuses"})) {
    ready += sandbox::truth(c, {"ready"}) ? 1 : 0;
    restarts += number(c, {"restartCount"});
  }
  Row row = {name_of(pod), fmt::format("{}/{}", ready, list(pod, {"spec", "containers"}).size()),
             pod_status(pod), std::to_string(restarts), age};
  if (wide) {
    row.push_back(str(pod, {"status", "podIP"}, "<none>"));
    row.push_back(str(pod, {"spec", "nodeName"}, "<none>"));
  }
  return row;
}

Row service_row(const Json& service, const std::string& age, bool wide) {
  std::string ports;
  for (const auto& port : list(service, {"spec", "ports"})) {
    ports += fmt::format("{}{}/{}", ports.empty() ? "" : ",", number(port, {"port"}),
                         str(port, {"protocol"}, "TCP"));
  }
  Row row = {name_of(service),
             str(service, {"spec", "type"}, "ClusterIP"),
             str(service, {"spec", "clusterIP"}, "<none>"),
             str(service, {"spec", "externalName"}, "<none>"),
             ports.empty() ? "<none>" : ports,
             age};
  if (wide) {
    std::string selector;
    for (const auto& [key, value] : sandbox::labels(service, {"spec", "selector"}))
      selector += fmt::format("{}{}={}", selector.empty() ? "" : ",", key, value);
    row.push_back(selector.empty() ? "<none>" : selector);
    row.push_back(joined(list(service, {"spec", "clusterIPs"})));
  }
  return row;
}

std::string ready_condition(const Json& object) {
  for (const auto& condition : list(object, {"status", "conditions"})) {
    if (str(condition, {"type"}) == "Ready")
      return str(condition, {"status"}) == "True" ? "Ready" : "NotReady";
  }
  return "Unknown";
}

// "10.244.1.2:80,10.244.2.2:80 + 3 more…", as kubectl shows it.
std::string limited(const std::vector<std::string>& all) {
  constexpr std::size_t kShown = 3;
  if (all.empty()) return "<none>";
  const auto shown =
      std::vector(all.begin(), all.begin() + static_cast<long>(std::min(all.size(), kShown)));
  const auto more = all.size() > kShown ? fmt::format(" + {} more...", all.size() - kShown) : "";
  return fmt::format("{}{}", fmt::join(shown, ","), more);
}

Row endpoints_row(const Json& object, const std::string& age, bool) {
  std::vector<std::string> all;
  for (const auto& subset : list(object, {"subsets"})) {
    for (const auto& address : list(subset, {"addresses"})) {
      const auto ip = str(address, {"ip"});
      const bool v6 = ip.find(':') != std::string::npos;
      for (const auto& port : list(subset, {"ports"}))
        all.push_back(
            fmt::format("{}{}{}:{}", v6 ? "[" : "", ip, v6 ? "]" : "", number(port, {"port"})));
    }
  }
  return {name_of(object), limited(all), age};
}

Row slice_row(const Json& object, const std::string& age, bool) {
  std::vector<std::string> ports, addresses;
  for (const auto& port : list(object, {"ports"}))
    ports.push_back(std::to_string(number(port, {"port"})));
  for (const auto& endpoint : list(object, {"endpoints"})) {
    for (const auto& address : list(endpoint, {"addresses"}))
      addresses.push_back(address.get<std::string>());
  }
  return {name_of(object), str(object, {"addressType"}), limited(ports), limited(addresses), age};
}

struct Shape {
  Row headers, wide_headers;
  std::function<Row(const Json&, const std::string& age, bool wide)> row;
};

Shape workload_shape() {
  return {{"NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"},
          {},
          [](const Json& o, const std::string& age, bool) {
            return Row{name_of(o),
                       fmt::format("{}/{}", number(o, {"status", "readyReplicas"}),
                                   number(o, {"spec", "replicas"}, 1)),
                       std::to_string(number(o, {"status", "updatedReplicas"})),
                       std::to_string(number(o, {"status", "availableReplicas"})), age};
          }};
}

Shape node_shape() {
  return {{"NAME", "STATUS", "ROLES", "AGE", "VERSION"},
          {"INTERNAL-IP"},
          [](const Json& o, const std::string& age, bool wide) {
            Row row = {name_of(o), ready_condition(o), "<none>", age, "sandbox"};
            if (wide)
              row.push_back(str(list(o, {"status", "addresses"}).empty()
                                    ? Json()
                                    : list(o, {"status", "addresses"})[0],
                                {"address"}));
            return row;
          }};
}

Shape shape_of(const std::string& kind) {
  if (kind == "Pod")
    return {{"NAME", "READY", "STATUS", "RESTARTS", "AGE"}, {"IP", "NODE"}, pod_row};
  if (kind == "Service")
    return {{"NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"},
            {"SELECTOR", "CLUSTER-IPS"},
            service_row};
  if (kind == "Deployment.apps") return workload_shape();
  if (kind == "StatefulSet.apps") {
    return {{"NAME", "READY", "AGE"}, {}, [](const Json& o, const std::string& age, bool) {
              return Row{name_of(o),
                         fmt::format("{}/{}", number(o, {"status", "readyReplicas"}),
                                     number(o, {"spec", "replicas"}, 1)),
                         age};
            }};
  }
  if (kind == "Endpoints") return {{"NAME", "ENDPOINTS", "AGE"}, {}, endpoints_row};
  if (kind == "EndpointSlice.discovery.k8s.io")
    return {{"NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"}, {}, slice_row};
  if (kind == "Node") return node_shape();
  if (kind == "ReplicaSet.apps") {
    return {{"NAME", "DESIRED", "CURRENT", "READY", "AGE"},
            {},
            [](const Json& o, const std::string& age, bool) {
              return Row{name_of(o), std::to_string(number(o, {"spec", "replicas"})),
                         std::to_string(number(o, {"status", "replicas"})),
                         std::to_string(number(o, {"status", "readyReplicas"})), age};
            }};
  }
  if (kind == "Namespace") {
    return {{"NAME", "STATUS", "AGE"}, {}, [](const Json& o, const std::string& age, bool) {
              return Row{name_of(o), str(o, {"status", "phase"}), age};
            }};
  }
  if (kind == "Job.batch") {
    return {{"NAME", "COMPLETIONS", "AGE"}, {}, [](const Json& o, const std::string& age, bool) {
              return Row{name_of(o),
                         fmt::format("{}/{}", number(o, {"status", "succeeded"}),
                                     number(o, {"spec", "completions"}, 1)),
                         age};
            }};
  }
  if (kind == "ConfigMap" || kind == "Secret") {
    return {{"NAME", "DATA", "AGE"}, {}, [](const Json& o, const std::string& age, bool) {
              return Row{name_of(o),
                         std::to_string(sandbox::labels(o, {"data"}).size() +
                                        sandbox::labels(o, {"stringData"}).size()),
                         age};
            }};
  }
  return {{"NAME", "AGE"}, {}, [](const Json& o, const std::string& age, bool) {
            return Row{name_of(o), age};
          }};
}

bool needs_quotes(const std::string& text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return true;
  if (text.find_first_of("\n\t\"\\") != std::string::npos || text.find(": ") != std::string::npos ||
      text.find(" #") != std::string::npos)
    return true;
  if (std::string_view("-?:,[]{}#&*!|>'%@`~=<.+0123456789").find(text.front()) !=
      std::string_view::npos)
    return true;
  static constexpr std::string_view kWords[] = {"true", "false", "yes", "no",  "on", "off",
                                                "null", "y",     "n",   "nan", "inf"};
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(std::begin(kWords), std::end(kWords), lower) != std::end(kWords);
}

std::string scalar(const Json& value) {
  if (value.is_string() && !needs_quotes(value.get<std::string>())) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void emit(std::string& out, const Json& value, std::size_t indent);

// After "key:" or "-": a scalar on the same line, or a block below.
void emit_value(std::string& out, const Json& value, std::size_t indent, bool in_list) {
  const bool block = (value.is_object() || value.is_array()) && !value.empty();
  if (!block) {
    out += " " + (value.is_object() ? "{}" : value.is_array() ? "[]" : scalar(value)) + "\n";
  } else if (in_list && value.is_object()) {
    std::string inner;
    emit(inner, value, indent + 2);
    out += " " + inner.substr(indent + 2);
  } else {
    out += "\n";
    emit(out, value, value.is_array() && !in_list ? indent : indent + 2);
  }
}

void emit(std::string& out, const Json& value, std::size_t indent) {
  const std::string space(indent, ' ');
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      out += space + scalar(key) + ":";
      emit_value(out, item, indent, false);
    }
    return;
  }
  for (const auto& item : value) {
    out += space + "-";
    emit_value(out, item, indent, true);
  }
}

}  // namespace

std::string render_table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - row[i].size() + 3, ' ');
    }
    text += line + "\n";
  }
  return text;
}

std::string object_table(const std::string& kind, const std::vector<Json>& items,
                         const TableOptions& options) {
  const auto shape = shape_of(kind);
  std::vector<Row> rows;
  if (options.headers) {
    Row headers = shape.headers;
    if (options.wide)
      headers.insert(headers.end(), shape.wide_headers.begin(), shape.wide_headers.end());
    if (options.namespaces) headers.insert(headers.begin(), "NAMESPACE");
    rows.push_back(std::move(headers));
  }
  for (const auto& item : items) {
    auto row =
        shape.row(item, human_duration(options.age(str(item, {"metadata", "creationTimestamp"}))),
                  options.wide);
    if (options.namespaces) row.insert(row.begin(), ns_of(item));
    rows.push_back(std::move(row));
  }
  return render_table(rows);
}

std::string human_duration(long seconds) {
  if (seconds < 0) return "0s";
  if (seconds < 120) return fmt::format("{}s", seconds);
  const long minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  if (minutes < 10)
    return seconds % 60 == 0 ? fmt::format("{}m", minutes)
                             : fmt::format("{}m{}s", minutes, seconds % 60);
  if (minutes < 180) return fmt::format("{}m", minutes);
  if (hours < 8)
    return minutes % 60 == 0 ? fmt::format("{}h", hours)
                             : fmt::format("{}h{}m", hours, minutes % 60);
  if (hours < 48) return fmt::format("{}h", hours);
  return fmt::format("{}d", days);
}

std::string to_yaml(const Json& value) {
  if (!value.is_object() && !value.is_array()) return scalar(value) + "\n";
  if (value.empty()) return value.is_object() ? "{}\n" : "[]\n";
  std::string out;
  emit(out, value, 0);
  return out;
}

}  // namespace weft::cli
