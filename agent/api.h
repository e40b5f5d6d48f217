// The API socket's words: one JSON request, one JSON reply. {"cmd":"status"} is all there is so far.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/enroller.h"

namespace weft::agent {

struct StatusProgram {
  std::string name;
  std::uint32_t id;
};

struct StatusFacts {
  std::string node;
  bool ready = false;
  std::string not_ready_why;
  std::size_t ztunnels = 0;
  std::vector<StatusProgram> programs;
  std::vector<std::pair<std::string, std::string>> problems;  // file, text
  std::vector<PodView> pods;
  std::vector<PlainPod> plain;
};

std::string status_json(const StatusFacts& facts);
// "status", or a problem that is the reply's {"error": …}.
Parsed<std::string> api_command(std::string_view request);
std::string api_error(std::string_view text);

}  // namespace weft::agent
