// Rollout: how far a Deployment or a DaemonSet is, and what holds its pods up. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace weft::cli {

struct Rollout {
  bool done = false;
  std::string text;  // "1 of 2 ready", for a person
};
// Of the object as the API server has it. Done: the controller has seen this generation, every pod
// is of it, and is available.
Rollout rollout(const nlohmann::json& workload);

// One line for each pod that is not ready, with the container and the reason that the kubelet or
// the scheduler gives: "weft-node-x7k on n1: agent: ImagePullBackOff: …".
std::vector<std::string> held_up(const std::vector<nlohmann::json>& pods);

}  // namespace weft::cli
