#include "source/fields.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace weft::source {

using nlohmann::json;

Field Reader::root() { return {this, object_.body.get(), ""}; }

void Reader::refuse(std::string_view path, const json* value, std::string_view why) {
  if (problem_) return;
  std::string text = object_.at(path) + ": " + (path.empty() ? "document" : std::string(path)) +
                     ": " + std::string(why);
  if (value != nullptr) {
    std::string got = value->dump(-1, ' ', false, json::error_handler_t::replace);
    if (got.size() > 80) got = got.substr(0, 77) + "...";
    text += ", got " + got;
  }
  problem_ = Problem{std::move(text)};
}

namespace {

// Spelling without what people mix up: case, underscores, dashes.
std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '_' && c != '-') out += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  return out;
}

// Edits (insert, delete, replace) from one name to the other. REQUIRES: short names.
std::size_t edits(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t i = 0; i <= to.size(); ++i) row[i] = i;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = corner + (from[i - 1] == to[j - 1] ? 0 : 1);
      corner = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[to.size()];
}

constexpr std::size_t kNameMax = 64;

std::string likely_name(std::string_view name, const std::vector<std::string>& known) {
  if (name.size() > kNameMax) return "";
  std::string best;
  std::size_t least = name.size() > 5 ? 3 : 2;  // fewer edits than this
  for (const std::string& one : known) {
    const std::string left = folded(name), right = folded(one);
    constexpr std::size_t kStemMin = 4;
    const bool stem = std::min(left.size(), right.size()) >= kStemMin &&
                      (left.starts_with(right) || right.starts_with(left));
    const std::size_t distance = std::min<std::size_t>(edits(left, right), stem ? 1 : kNameMax);
    if (distance < least) {
      least = distance;
      best = one;
    }
  }
  return best;
}

}  // namespace

std::string Reader::suggest(std::string_view parent, std::string_view name) const {
  for (std::string_view at = parent; !at.empty();) {
    const std::size_t cut = at.find_last_of(".[");
    if (cut == std::string_view::npos) break;
    at = at.substr(0, cut);
    const auto outer = known_.find(at);
    if (outer == known_.end()) continue;
    const auto& fields = outer->second.fields;
    if (std::find(fields.begin(), fields.end(), name) == fields.end()) continue;
    if (!at.ends_with(']') || !outer->second.value->contains(std::string(name)))
      return member_path(at, name);
    const std::string_view list = at.substr(0, at.rfind('['));
    return "a new entry of " + std::string(list) + " with its own " + std::string(name);
  }
  const auto here = known_.find(parent);
  if (here == known_.end()) return "";
  const std::string likely = likely_name(name, here->second.fields);
  return likely.empty() ? "" : member_path(parent, likely);
}

void Field::refuse(std::string_view why) const { reader_->refuse(path_, value_, why); }

Field Field::operator[](std::string_view key) const {
  std::string path = member_path(path_, key);
  if (value_ == nullptr) return {reader_, nullptr, std::move(path)};
  if (!value_->is_object()) {
    refuse("must be a map");
    return {reader_, nullptr, std::move(path)};
  }
  const auto found = value_->find(std::string(key));
  const bool there = found != value_->end() && !found->is_null();
  return {reader_, there ? &*found : nullptr, std::move(path)};
}

std::vector<Field> Field::list() const {
  std::vector<Field> elements;
  if (value_ == nullptr) return elements;
  if (!value_->is_array()) {
    refuse("must be a list");
    return elements;
  }
  for (std::size_t i = 0; i < value_->size(); ++i) {
    elements.push_back(
        {reader_, (*value_)[i].is_null() ? nullptr : &(*value_)[i], element_path(path_, i)});
  }
  return elements;
}

std::vector<std::string> Field::keys() const {
  std::vector<std::string> names;
  if (value_ == nullptr) return names;
  if (!value_->is_object()) {
    refuse("must be a map");
    return names;
  }
  for (const auto& member : value_->items()) names.push_back(member.key());
  return names;
}

void Field::only(std::initializer_list<std::string_view> known) const {
  const std::vector<std::string> names = keys();
  if (value_ != nullptr)
    reader_->known_[path_] = {value_, std::vector<std::string>(known.begin(), known.end())};
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string fields;
    for (const std::string_view field : known)
      fields.append(fields.empty() ? "" : ", ").append(field);
    const std::string better = reader_->suggest(path_, name);
    reader_->refuse(member_path(path_, name), &(*value_)[name],
                    "unknown field" + (better.empty() ? "" : ": did you mean " + better + "?") +
                        " (known: " + fields + ")");
    return;
  }
}

std::string Field::string(std::string_view otherwise) const {
  if (value_ == nullptr) return std::string(otherwise);
  if (value_->is_string()) return value_->get_ref<const std::string&>();
  refuse("must be a string");
  return std::string(otherwise);
}

bool Field::boolean(bool otherwise) const {
  if (value_ == nullptr) return otherwise;
  if (value_->is_boolean()) return value_->get<bool>();
  refuse("must be true or false");
  return otherwise;
}

double Field::number(double otherwise) const {
  if (value_ == nullptr) return otherwise;
  if (value_->is_number()) return value_->get<double>();
  refuse("must be a number");
  return otherwise;
}

std::int64_t Field::integer(std::int64_t least, std::int64_t most, std::int64_t otherwise) const {
  if (value_ == nullptr) return otherwise;
  const bool fits = value_->is_number_unsigned()
                        ? value_->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX)
                        : value_->is_number_integer();
  if (fits) {
    const auto number = value_->get<std::int64_t>();
    if (number >= least && number <= most) return number;
  }
  refuse("must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return otherwise;
}

std::uint16_t Field::port(std::uint16_t otherwise) const {
  if (value_ == nullptr) return otherwise;
  if (value_->is_number_integer()) {
    const auto number = value_->get<std::int64_t>();
    if (number >= 1 && number <= 65535) return static_cast<std::uint16_t>(number);
  }
  refuse("must be a port (1-65535)");
  return otherwise;
}

std::uint16_t Field::port_text() const {
  const std::string text = string();
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number != 0) return number;
  refuse("must be a port (1-65535)");
  return 0;
}

mesh::Labels Field::string_map() const {
  mesh::Labels labels;
  for (const std::string& name : keys()) labels[name] = (*this)[name].string();
  return labels;
}

std::vector<std::string> Field::strings() const {
  std::vector<std::string> texts;
  for (const Field& element : list()) {
    if (!element.present()) element.refuse("must be a string");
    texts.push_back(element.string());
  }
  return texts;
}

IpAddress Field::ip() const {
  const std::string text = string();
  if (text.empty()) return {};
  const auto address = IpAddress::parse(text);
  if (!address) refuse("must be an IP address");
  return address.value_or(IpAddress{});
}

bool Field::is_string() const { return value_ != nullptr && value_->is_string(); }
bool Field::is_map() const { return value_ != nullptr && value_->is_object(); }
bool Field::is_list() const { return value_ != nullptr && value_->is_array(); }
bool Field::is_number() const { return value_ != nullptr && value_->is_number_integer(); }

}  // namespace weft::source
