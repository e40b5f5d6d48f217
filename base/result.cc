#include "base/result.h"

#include <cstring>

namespace weft {

const char* to_string(Code code) {
  switch (code) {
    case Code::kClosed: return "closed";
    case Code::kTimedOut: return "timed out";
    case Code::kUnreachable: return "unreachable";
    case Code::kDenied: return "denied";
    case Code::kIdentityMismatch: return "identity mismatch";
    case Code::kDraining: return "draining";
    case Code::kMalformed: return "malformed";
    case Code::kUnsupported: return "unsupported";
    case Code::kSystem: return "system";
    case Code::kNotFound: return "not found";
    case Code::kExhausted: return "exhausted";
  }
  return "unknown";
}

std::string describe(const Error& error) {
  std::string text = to_string(error.code);
  if (error.where[0] != '\0') {
    text += ": ";
    text += error.where;
  }
  if (error.os != 0) {
    text += ": ";
    text += std::strerror(error.os);
  }
  return text;
}

}  // namespace weft
