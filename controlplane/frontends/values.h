// Values that several mesh APIs write the same way. Each refuses what is wrong at its field.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controlplane/model/decoded.h"
#include "controlplane/model/routes.h"
#include "source/fields.h"

namespace weft::controlplane::read {

using source::Field;

// What a decoder collects beside its values.
struct Notes {
  std::vector<std::string> unsupported, warnings;
  void beyond(const Field& field, std::string_view why);  // unsupported, when the field is present
  void warn(const Field& field, std::string_view why);    // when the field is present
};

// "1.5s", "3m", "1h30m", "20ms"; none when absent. Refused: negative, and below `least`.
std::optional<model::Milliseconds> duration(const Field& field,
                                            model::Milliseconds least = model::Milliseconds(0));
// A regular expression that RE2 compiles, at most kRegexMax characters.
inline constexpr std::size_t kRegexMax = 1024;
std::string regex(const Field& field);
// 0…100 with fractions → parts per million.
std::uint32_t percent(const Field& field);

// A DNS name: labels of letters, digits, '-' (and '_'), 253 at most; `wildcard` allows "*" and
// "*.x" too. Says why not; "" when it is one.
std::string why_no_host(std::string_view name, bool wildcard);
bool is_label(std::string_view text);        // RFC 1123 label
bool is_header_name(std::string_view text);  // RFC 9110 token; pseudo headers with ':' are none
std::string lower(std::string_view text);

// "reviews" → {ns, "reviews.NS.svc.DOMAIN"}; a name with dots stays, and has a namespace when it is
// one of the cluster's.
model::ServiceKey service(std::string_view host, std::string_view ns, std::string_view domain);
model::ServiceKey service_named(std::string_view name, std::string_view ns,
                                std::string_view domain);

model::Provenance provenance(const source::Object& object);
// Accepted, and PartiallyInvalid when something is unsupported; not accepted when that is all.
std::vector<model::Condition> conditions(const Notes& notes, bool empty);

template <class X>
model::Decoded<X> decoded(std::vector<X> values, Notes notes) {
  auto states = conditions(notes, values.empty());
  return {std::move(values), std::move(states), std::move(notes.unsupported),
          std::move(notes.warnings)};
}

}  // namespace weft::controlplane::read
