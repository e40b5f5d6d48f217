// `up --set KEY=VALUE`: the configuration keys of the components and what they become on their
// command lines. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace weft::sandbox {

struct Settings {
  std::map<std::string, std::string> values;

  // The value of a key, or its default.
  std::string get(const std::string& key) const;
  bool is(const std::string& key) const { return get(key) == "true"; }
  // Values of `PREFIX.NAME` keys by NAME: "ztunnel." are environment variables, "agent." and
  // "controlplane." are flags.
  std::map<std::string, std::string> extra(const std::string& prefix) const;
};

// Refused: no "=", a key that is none (the text names those there are), a value that a key cannot
// have.
Parsed<Settings> parse_settings(const std::vector<std::string>& pairs);

// "KEY  what it does (default)" lines for --help.
std::string settings_help();

}  // namespace weft::sandbox
