// wait: until objects have a condition, or are gone.
#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "base/clock.h"
#include "cli/duration.h"
#include "cli/objects.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::str;

constexpr auto kPoll = std::chrono::milliseconds(15);

}  // namespace

int sandbox_wait(const Context& context, const ObjectArguments& arguments) {
  const auto named = targets(arguments.names);
  if (!named) return fail_with(named.error());
  const auto limit = parse_duration(arguments.timeout.empty() ? "30s" : arguments.timeout);
  if (!limit) return fail_with(limit.error());
  if (named->front().name.empty() && arguments.selector.empty() && !arguments.all)
    return fail_with("error: you must name a NAME, -l SELECTOR or --all");
  const auto deadline = Deadline::after(Clock::now(), *limit);
  const bool for_deletion = arguments.condition == "delete";
  for (const auto& target : *named) {
    for (;;) {
      const auto answer = fetch(context, request_for("get", target, arguments));
      const bool missing = !answer && is_not_found(answer.error().text);
      if (!answer && !missing) return fail_with(answer.error());
      const bool nothing = missing || (*answer)["items"].empty();
      bool done = for_deletion && nothing;
      if (!for_deletion && !nothing) {
        done = true;
        for (const auto& item : (*answer)["items"]) {
          const auto one = satisfies(item, arguments.condition);
          if (!one) return fail_with(one.error());
          done = done && *one;
        }
      }
      if (done) {
        const auto shown = target.name.empty() ? target.kind : target.kind + "/" + target.name;
        if (!context.json())
          print(fmt::format("{} {}\n", shown, for_deletion ? "deleted" : "condition met"));
        break;
      }
      if (deadline.passed(Clock::now())) {
        if (missing) return fail_with(answer.error());
        return fail_with(fmt::format("error: timed out waiting for {} of {} {}",
                                     arguments.condition, target.kind, target.name));
      }
      std::this_thread::sleep_for(kPoll);
    }
  }
  return kOk;
}

}  // namespace weft::cli
