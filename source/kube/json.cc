#include "source/kube/json.h"

#include <simdjson.h>

#include <nlohmann/json.hpp>
#include <string>

#include "source/object.h"

namespace weft::source::kube {
namespace {

using nlohmann::json;
namespace dom = simdjson::dom;

// REQUIRES: the parser bounded the depth.
json convert(const dom::element& element) {
  switch (element.type()) {
    case dom::element_type::OBJECT: {
      json out = json::object();
      for (const auto& [key, value] : dom::object(element)) out[std::string(key)] = convert(value);
      return out;
    }
    case dom::element_type::ARRAY: {
      json out = json::array();
      for (const dom::element value : dom::array(element)) out.push_back(convert(value));
      return out;
    }
    case dom::element_type::STRING:
      return std::string(std::string_view(element));
    case dom::element_type::INT64:
      return std::int64_t(element);
    case dom::element_type::UINT64:
      return std::uint64_t(element);
    case dom::element_type::DOUBLE:
      return double(element);
    case dom::element_type::BOOL:
      return bool(element);
    case dom::element_type::NULL_VALUE:
      break;
  }
  return nullptr;
}

}  // namespace

struct JsonReader::Parser {
  dom::parser dom;
};

JsonReader::JsonReader() : parser_(std::make_unique<Parser>()) {}
JsonReader::~JsonReader() = default;

Parsed<json> JsonReader::read(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max)
    return problem("larger than " + std::to_string(bytes_max) + " bytes");
  dom::parser& parser = parser_->dom;
  if (parser.capacity() < text.size() || parser.max_depth() != kMaxDepth) {
    if (const auto error = parser.allocate(std::max<std::size_t>(text.size(), 4096), kMaxDepth))
      return problem(simdjson::error_message(error));
  }
  dom::element root;
  if (const auto error = parser.parse(text.data(), text.size()).get(root))
    return problem(simdjson::error_message(error));
  return convert(root);
}

}  // namespace weft::source::kube
