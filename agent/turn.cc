#include "agent/turn.h"

#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <utility>

#include "agent/ask.h"
#include "base/log.h"

namespace weft::agent {
namespace {

constexpr int kLook_ms = 50;
constexpr auto kAskEvery = std::chrono::seconds(1);
constexpr auto kAnswerWithin = std::chrono::seconds(1);

struct Looked {
  bool stop = false, connected = false;
};

Looked look(const TurnOptions& options) {
  std::array<pollfd, 2> waits = {{{options.stop, POLLIN, 0}, {options.link, POLLIN, 0}}};
  // A connection that waits would wake every poll: of the two, only a stop is worth waking for.
  ::poll(waits.data(), 1, kLook_ms);
  ::poll(waits.data(), waits.size(), 0);
  return {(waits[0].revents & POLLIN) != 0, (waits[1].revents & POLLIN) != 0};
}

void ask_to_step_aside(const std::string& path) {
  const auto answer =
      ask_line(path, fmt::format("{{\"cmd\":\"{}\"}}\n", kStepAside), kAnswerWithin);
  if (answer && answer->find(fmt::format("\"{}\"", kAside)) != std::string::npos)
    return spdlog::info("the agent of before steps aside");
  spdlog::warn("the agent of before does not step aside, asking again path={} answer=\"{}\"", path,
               answer ? *answer : describe(answer.error()));
}

}  // namespace

Parsed<Turn> wait_for_turn(Lease& lease, const TurnOptions& options) {
  const auto give_up_at = Clock::now() + options.end_within;
  auto ask_at = Clock::time_point::min();
  for (bool told = false;;) {
    const auto ours = lease.take();
    if (!ours) return problem("--bpffs: cannot lock it: " + describe(ours.error()));
    if (*ours) return Turn::kOurs;
    if (!options.take_over && Clock::now() >= give_up_at)
      return problem(
          "--bpffs: another weft-agent of this node is running; with --take-over it would be asked "
          "to step aside");
    if (options.take_over && !std::exchange(told, true))
      spdlog::info("another agent serves this node, waiting for our ztunnel to be able to");
    const auto looked = look(options);
    if (looked.stop) return Turn::kStopped;
    if (!options.take_over || !looked.connected || Clock::now() < ask_at) continue;
    ask_to_step_aside(options.api_path);
    ask_at = Clock::now() + kAskEvery;
  }
}

}  // namespace weft::agent
