#include "source/fields.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "source/spelling.h"

namespace weft::source {

using nlohmann::json;

Field Reader::root() { return {this, object_.body.get(), ""}; }

namespace {

std::string shortened(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() > 80 ? text.substr(0, 77) + "..." : text;
}

}  // namespace

void Reader::refuse(std::string_view path, const json* value, std::string_view why) {
  if (problem_) return;
  std::string text = object_.at(path) + ": " + (path.empty() ? "document" : std::string(path)) +
                     ": " + std::string(why);
  if (value != nullptr) text += ", got " + shortened(*value);
  problem_ = Problem{std::move(text)};
}

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

std::string Field::shown() const { return value_ == nullptr ? "" : shortened(*value_); }

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
