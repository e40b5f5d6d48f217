#include "sandbox/environment.h"

#include <fmt/format.h>

#include "sandbox/endpoints.h"
#include "sandbox/json.h"

namespace weft::sandbox {
namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

std::string base64_decode(const std::string& text) {
  std::string out;
  unsigned bits = 0, value = 0;
  for (const char c : text) {
    unsigned v;
    if (c >= 'A' && c <= 'Z')
      v = static_cast<unsigned>(c - 'A');
    else if (c >= 'a' && c <= 'z')
      v = static_cast<unsigned>(c - 'a') + 26;
    else if (c >= '0' && c <= '9')
      v = static_cast<unsigned>(c - '0') + 52;
    else if (c == '+')
      v = 62;
    else if (c == '/')
      v = 63;
    else
      continue;
    value = (value << 6) | v;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += static_cast<char>((value >> bits) & 0xff);
    }
  }
  return out;
}

std::string* find(Variables& variables, const std::string& name) {
  for (auto& [key, value] : variables) {
    if (key == name) return &value;
  }
  return nullptr;
}

void set(Variables& variables, const std::string& name, std::string value) {
  if (auto* there = find(variables, name))
    *there = std::move(value);
  else
    variables.emplace_back(name, std::move(value));
}

std::string expand(const std::string& text, Variables& variables) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "$$") == 0) {
      out += '$';
      ++i;
      continue;
    }
    const auto end = text.compare(i, 2, "$(") == 0 ? text.find(')', i) : std::string::npos;
    const auto* value =
        end == std::string::npos ? nullptr : find(variables, text.substr(i + 2, end - i - 2));
    if (value == nullptr) {
      out += text[i];
      continue;
    }
    out += *value;
    i = end;
  }
  return out;
}

struct Reference {
  const char* field;
  const char* kind;
  const char* resource;
};
constexpr Reference kKeys[] = {{"configMapKeyRef", "ConfigMap", "configmap"},
                               {"secretKeyRef", "Secret", "secret"}};
constexpr Reference kWhole[] = {{"configMapRef", "ConfigMap", "configmap"},
                                {"secretRef", "Secret", "secret"}};

Parsed<std::string> referred(const Store& store, const Json& pod, const Json& source,
                             bool& absent) {
  if (const auto* field = at(source, {"fieldRef"}))
    return field_value(pod, str(*field, {"fieldPath"}));
  for (const auto& key : kKeys) {
    const auto* ref = at(source, {key.field});
    if (ref == nullptr) continue;
    const auto* object = store.find(key.kind, ns_of(pod), str(*ref, {"name"}));
    const auto data = object != nullptr ? data_of(*object) : std::map<std::string, std::string>();
    const auto found = data.find(str(*ref, {"key"}));
    if (found != data.end()) return found->second;
    absent = true;
    if (truth(*ref, {"optional"})) return std::string();
    if (object == nullptr)
      return problem(fmt::format("{} \"{}\" not found", key.resource, str(*ref, {"name"})));
    return problem(fmt::format("couldn't find key {} in {} {}/{}", str(*ref, {"key"}), key.kind,
                               ns_of(pod), str(*ref, {"name"})));
  }
  absent = true;
  return std::string();
}

}  // namespace

std::map<std::string, std::string> data_of(const Json& object) {
  std::map<std::string, std::string> data;
  const bool secret = str(object, {"kind"}) == "Secret";
  for (const auto& [key, value] : labels(object, {"data"}))
    data[key] = secret ? base64_decode(value) : value;
  for (const auto& [key, value] : labels(object, {"binaryData"})) data[key] = base64_decode(value);
  for (const auto& [key, value] : labels(object, {"stringData"})) data[key] = value;
  return data;
}

std::string field_value(const Json& pod, const std::string& path) {
  for (const char* map : {"labels", "annotations"}) {
    const auto start = fmt::format("metadata.{}['", map);
    if (path.starts_with(start) && path.ends_with("']")) {
      return str(pod, {"metadata", map, path.substr(start.size(), path.size() - start.size() - 2)});
    }
  }
  if (path == "status.podIPs") {
    std::string all;
    for (const auto& ip : pod_ips(pod)) all += (all.empty() ? "" : ",") + ip;
    return all;
  }
  const auto dot = path.find('.');
  if (dot == std::string::npos) return {};
  return str(pod, {path.substr(0, dot), path.substr(dot + 1)});
}

Parsed<std::vector<std::string>> container_environment(const Store& store, const Json& pod,
                                                       const Json& container) {
  Variables variables = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                         {"HOME", "/root"},
                         {"HOSTNAME", str(pod, {"spec", "hostname"}, name_of(pod))}};
  for (const auto& from : list(container, {"envFrom"})) {
    for (const auto& whole : kWhole) {
      const auto* ref = at(from, {whole.field});
      if (ref == nullptr) continue;
      const auto* object = store.find(whole.kind, ns_of(pod), str(*ref, {"name"}));
      if (object == nullptr && truth(*ref, {"optional"})) continue;
      if (object == nullptr)
        return problem(fmt::format("{} \"{}\" not found", whole.resource, str(*ref, {"name"})));
      for (auto& [key, value] : data_of(*object))
        set(variables, str(from, {"prefix"}) + key, value);
    }
  }
  for (const auto& entry : list(container, {"env"})) {
    const auto name = str(entry, {"name"});
    const auto* source = at(entry, {"valueFrom"});
    if (source == nullptr) {
      set(variables, name, expand(str(entry, {"value"}), variables));
      continue;
    }
    bool absent = false;
    auto value = referred(store, pod, *source, absent);
    if (!value) return problem(value.error().text);
    if (!absent) set(variables, name, *value);
  }
  std::vector<std::string> lines;
  for (const auto& [name, value] : variables) lines.push_back(name + "=" + value);
  return lines;
}

Parsed<std::vector<std::string>> container_command(const Json& container,
                                                   const std::vector<std::string>& environment) {
  Variables variables;
  for (const auto& line : environment) {
    const auto equals = line.find('=');
    variables.emplace_back(line.substr(0, equals), line.substr(equals + 1));
  }
  std::vector<std::string> argv;
  for (const char* part : {"command", "args"}) {
    for (const auto& word : list(container, {part})) {
      argv.push_back(expand(word.is_string() ? word.get<std::string>() : word.dump(), variables));
    }
    if (argv.empty()) {
      return problem(
          "the sandbox starts programs of this machine and does not look at images: give the "
          "container a `command`");
    }
  }
  return argv;
}

}  // namespace weft::sandbox
