#include "sandbox/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "sandbox/ids.h"

namespace weft::sandbox {
namespace {

constexpr std::size_t kNameMax = 63;
constexpr std::size_t kPrefixMax = 253;
constexpr std::size_t kAnnotationsMax = 256 * 1024;
constexpr const char* kMeshLabel = "weft.dev/mesh";

bool is_alphanumeric(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// [A-Za-z0-9], and between the first and the last also - _ .
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax && is_alphanumeric(text.front()) &&
         is_alphanumeric(text.back()) && std::ranges::all_of(text, [](char c) {
           return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
         });
}

bool is_prefix(std::string_view text) {
  if (text.empty() || text.size() > kPrefixMax) return false;
  char before = '.';
  for (const char c : text) {
    const bool separates = before == '.';
    if (c == '.' || c == '-') {
      if (separates || (c == '.' && before == '-')) return false;
    } else if (!is_alphanumeric(c) || std::isupper(static_cast<unsigned char>(c)) != 0) {
      return false;
    }
    before = c;
  }
  return before != '.' && before != '-';
}

bool is_key(std::string_view key) {
  const auto slash = key.find('/');
  if (slash == std::string_view::npos) return is_name(key);
  return is_prefix(key.substr(0, slash)) && is_name(key.substr(slash + 1));
}

std::string key_problem(std::string_view field, std::string_view key) {
  return fmt::format(
      "{}: Invalid value: \"{}\": a key is an optional DNS name and '/', then at most 63 letters, "
      "digits, '-', '_', '.', of which the first and the last are a letter or a digit",
      field, key);
}

std::string label_problem(std::string_view field, const std::string& key, const Json& value) {
  if (!is_key(key)) return key_problem(field, key);
  if (!value.is_string())
    return fmt::format("{}.{}: Invalid value: {}: must be a string", field, key, value.dump());
  const auto text = value.get<std::string>();
  if (!text.empty() && !is_name(text)) {
    return fmt::format(
        "{}.{}: Invalid value: \"{}\": at most 63 letters, digits, '-', '_', '.', of which the "
        "first "
        "and the last are a letter or a digit",
        field, key, text);
  }
  if (key == kMeshLabel && text != "enabled" && text != "disabled") {
    return fmt::format(
        "{}.{}: Unsupported value: \"{}\": supported values: \"enabled\", \"disabled\"", field, key,
        text);
  }
  return {};
}

std::string labels_problem(const Json& metadata, const std::string& path) {
  const auto* all = at(metadata, {"labels"});
  if (all == nullptr) return {};
  const auto field = path + ".labels";
  if (!all->is_object()) return fmt::format("{}: Invalid value: must be a map", field);
  for (const auto& [key, value] : all->items()) {
    if (auto wrong = label_problem(field, key, value); !wrong.empty()) return wrong;
  }
  return {};
}

std::string annotations_problem(const Json& metadata, const std::string& path) {
  const auto* all = at(metadata, {"annotations"});
  if (all == nullptr) return {};
  const auto field = path + ".annotations";
  if (!all->is_object()) return fmt::format("{}: Invalid value: must be a map", field);
  std::size_t size = 0;
  for (const auto& [key, value] : all->items()) {
    if (!is_key(key)) return key_problem(field, key);
    if (!value.is_string())
      return fmt::format("{}.{}: Invalid value: {}: must be a string", field, key, value.dump());
    size += key.size() + value.get_ref<const std::string&>().size();
  }
  if (size > kAnnotationsMax)
    return fmt::format("{}: Too long: may not be more than {} bytes", field, kAnnotationsMax);
  return {};
}

std::string metadata_problem(const Json& metadata, const std::string& path) {
  auto wrong = labels_problem(metadata, path);
  return wrong.empty() ? annotations_problem(metadata, path) : wrong;
}

}  // namespace

Parsed<void> admit_metadata(const Json& object) {
  std::string wrong;
  if (const auto* own = at(object, {"metadata"})) wrong = metadata_problem(*own, "metadata");
  const auto* pods = at(object, {"spec", "template", "metadata"});
  if (wrong.empty() && pods != nullptr) wrong = metadata_problem(*pods, "spec.template.metadata");
  if (wrong.empty()) return {};
  return problem(
      fmt::format("The {} \"{}\" is invalid: {}", str(object, {"kind"}), name_of(object), wrong));
}

}  // namespace weft::sandbox
