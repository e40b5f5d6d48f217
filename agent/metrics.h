// The agent's metrics: facts in, Prometheus text out. Names are a contract with the dashboards.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/enroller.h"
#include "bpf/user/datapath.h"

namespace weft::agent {

struct MetricFacts {
  bpf::Counters events{};
  std::vector<bpf::MapFill> maps;
  std::vector<bpf::ProgramInfo> programs;
  std::vector<PodView> pods;
  EnrollerCounts enroller;
  std::size_t ztunnels = 0;
  std::uint64_t sockets_granted_total = 0;
  std::uint64_t socket_requests_refused_total = 0;
  std::uint64_t source_problems = 0;
  std::uint64_t source_generation = 0;   // of the objects last read
  std::uint64_t applied_generation = 0;  // of the objects that the node's pods obey
};

std::string metrics_text(const MetricFacts& facts);

}  // namespace weft::agent
