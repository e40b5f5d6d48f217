#include "controlplane/frontends/values.h"

#include <re2/re2.h>

#include <algorithm>
#include <cmath>

namespace weft::controlplane::read {
namespace {

constexpr double kDurationMaxMs = 100.0 * 365 * 24 * 3600 * 1000;  // far below any overflow

// One "12.5" at the start of `text`, cut off; none when there is no digit.
std::optional<double> take_number(std::string_view& text) {
  double value = 0, scale = 1;
  bool digits = false, fraction = false;
  while (!text.empty() && ((text[0] >= '0' && text[0] <= '9') || (text[0] == '.' && !fraction))) {
    if (text[0] == '.') {
      fraction = true;
    } else {
      digits = true;
      value = value * 10 + (text[0] - '0');
      if (fraction) scale *= 10;
    }
    text.remove_prefix(1);
  }
  if (!digits) return std::nullopt;
  return value / scale;
}

std::optional<double> take_unit_ms(std::string_view& text) {
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"ms", 1}, {"us", 1e-3}, {"µs", 1e-3}, {"ns", 1e-6}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}};
  for (const auto& [name, ms] : kUnits) {
    if (!text.starts_with(name)) continue;
    text.remove_prefix(name.size());
    return ms;
  }
  return std::nullopt;
}

std::optional<double> parse_ms(std::string_view text) {
  if (text == "0") return 0;
  if (text.empty() || text.size() > 64) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    const auto unit = take_unit_ms(text);
    if (!unit) return std::nullopt;
    total += *number * *unit;
  }
  return total;
}

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

void Notes::beyond(const Field& field, std::string_view why) {
  if (field.present())
    unsupported.push_back(field.path() + ": " + std::string(why) + ", got " + field.shown());
}

void Notes::warn(const Field& field, std::string_view why) {
  if (field.present()) warnings.push_back(field.path() + ": " + std::string(why));
}

std::optional<model::Milliseconds> duration(const Field& field, model::Milliseconds least) {
  if (!field.present()) return std::nullopt;
  if (!field.is_string()) {
    field.refuse("must be a duration in quotes or with a unit, like 1.5s");
    return std::nullopt;
  }
  const auto ms = parse_ms(field.string());
  if (!ms || *ms > kDurationMaxMs) {
    field.refuse("must be a duration like 1.5s, 20ms or 1h30m");
    return std::nullopt;
  }
  const model::Milliseconds value(std::llround(*ms));
  if ((*ms > 0 && *ms < 1) || value < least) {
    field.refuse("must be " + std::string(least.count() > 0 ? "" : "0 or ") + "at least 1ms");
    return std::nullopt;
  }
  return value;
}

std::string regex(const Field& field) {
  std::string text = field.string();
  if (text.size() > kRegexMax) {
    field.refuse("must be at most " + std::to_string(kRegexMax) + " characters long");
    return "";
  }
  RE2::Options options;
  options.set_log_errors(false);
  const RE2 compiled(text, options);
  if (!compiled.ok())
    field.refuse("must be a regular expression (RE2): " + std::string(compiled.error()));
  return text;
}

std::uint32_t percent(const Field& field) {
  const double value = field.number();
  if (!(value >= 0 && value <= 100)) {
    field.refuse("must be a percentage from 0 to 100");
    return 0;
  }
  return static_cast<std::uint32_t>(std::llround(value * 10'000));
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool is_label(std::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

bool is_header_name(std::string_view text) {
  return !text.empty() && text.size() <= 256 && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::string why_no_host(std::string_view name, bool wildcard) {
  if (name.empty()) return "must not be empty";
  if (name.size() > 253) return "must be at most 253 characters long";
  if (wildcard && name == "*") return "";
  if (name.starts_with("*.") && wildcard) name.remove_prefix(2);
  if (name.find('*') != std::string_view::npos)
    return wildcard ? "a wildcard must be the whole first label (\"*.example.com\")"
                    : "must not hold a wildcard";
  if (name.ends_with('.')) name.remove_suffix(1);
  while (true) {
    const std::size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    const bool good = !label.empty() && label.size() <= 63 && label.front() != '-' &&
                      label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
                        return is_alnum(c) || c == '-' || c == '_';
                      });
    if (!good) return "must be a DNS name";
    if (dot == std::string_view::npos) return "";
    name.remove_prefix(dot + 1);
  }
}

model::ServiceKey service(std::string_view host, std::string_view ns, std::string_view domain) {
  if (host.find('.') == std::string_view::npos && !host.starts_with('*'))
    return service_named(host, ns, domain);
  model::ServiceKey key{.hostname =
                            lower(host.ends_with('.') ? host.substr(0, host.size() - 1) : host)};
  const std::string tail = ".svc." + std::string(domain);
  if (!key.hostname.ends_with(tail)) return key;
  const std::string_view front(key.hostname.data(), key.hostname.size() - tail.size());
  const std::size_t dot = front.rfind('.');
  if (dot != std::string_view::npos) key.ns = front.substr(dot + 1);
  return key;
}

model::ServiceKey service_named(std::string_view name, std::string_view ns,
                                std::string_view domain) {
  model::ServiceKey key{.ns = std::string(ns)};
  key.hostname.append(lower(name)).append(".").append(ns).append(".svc.").append(domain);
  return key;
}

model::Provenance provenance(const source::Object& object) {
  return {object.key(), object.origin, object.creation_timestamp};
}

std::vector<model::Condition> conditions(const Notes& notes, bool empty) {
  std::vector<model::Condition> out{
      {.type = "Accepted", .status = true, .reason = "Accepted", .message = "valid"}};
  if (notes.unsupported.empty()) return out;
  std::string text = "not supported yet: ";
  for (const std::string& one : notes.unsupported)
    text.append(text.ends_with("yet: ") ? "" : "; ").append(one);
  if (empty) {
    out[0] = {.type = "Accepted", .status = false, .reason = "UnsupportedValue", .message = text};
  } else {
    out.push_back({.type = "PartiallyInvalid",
                   .status = true,
                   .reason = "UnsupportedValue",
                   .message = text});
  }
  return out;
}

}  // namespace weft::controlplane::read
