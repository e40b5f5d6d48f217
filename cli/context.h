// What every command gets: which sandbox, which output format, and how a command says that it
// failed.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/layout.h"

namespace weft::cli {

inline constexpr int kOk = 0;
inline constexpr int kFailure = 1;
inline constexpr int kUsage = 64;

struct Context {
  std::string sandbox;  // --sandbox, --name or WEFT_SANDBOX; empty: the one that is up
  std::string output;   // -o: "", json, yaml, wide, name, jsonpath=…

  bool json() const { return output == "json"; }
};

// The sandbox that is meant. Refused: none is up, or several are and none was named.
Parsed<sandbox::Layout> find_sandbox(const Context& context);

// Asks the sandbox's daemon.
Parsed<nlohmann::json> ask(const Context& context, const nlohmann::json& request);

// Prints to stderr, gives kFailure.
int fail_with(const std::string& text);
int fail_with(const Problem& problem);

// stdout; a reader that went away (`| head`) is no failure.
void print(const std::string& text);

}  // namespace weft::cli
