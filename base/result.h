// Result<T>: a value or a small Error. The only channel for expected failures; bugs use WEFT_ASSERT.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace weft {

enum class Code : std::uint8_t {
  kClosed,
  kTimedOut,
  kUnreachable,
  kDenied,
  kIdentityMismatch,
  kDraining,
  kMalformed,
  kUnsupported,
  kSystem,
  kNotFound,
  kExhausted,
};

const char* to_string(Code code);

// 16 bytes, static text, no allocation. `os` is an errno value or 0; `where` names the step that failed.
struct Error {
  Code code;
  std::int32_t os = 0;
  const char* where = "";
};

// "timed out: tls handshake" / "system: bind: Address already in use".
std::string describe(const Error& error);

template <class T>
struct [[nodiscard]] Result : std::expected<T, Error> {
  using std::expected<T, Error>::expected;
};

inline std::unexpected<Error> fail(Code code, const char* where, int os = 0) {
  return std::unexpected<Error>(Error{code, os, where});
}

// A failure with text for people, made where input is read: file, field, value, hint. Used at the edges (flags, YAML, config),
// never on the data path.
struct Problem {
  std::string text;
};
template <class T>
struct [[nodiscard]] Parsed : std::expected<T, Problem> {
  using std::expected<T, Problem>::expected;
};
inline std::unexpected<Problem> problem(std::string text) {
  return std::unexpected<Problem>(Problem{std::move(text)});
}

}  // namespace weft
