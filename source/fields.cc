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
  for (const std::string& name : keys()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string fields;
    for (const std::string_view field : known)
      fields.append(fields.empty() ? "" : ", ").append(field);
    (*this)[name].refuse("unknown field (known: " + fields + ")");
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
bool Field::is_number() const { return value_ != nullptr && value_->is_number_integer(); }

}  // namespace weft::source
