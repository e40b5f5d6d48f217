// ca: the roots that the mesh trusts, and the next step of exchanging them.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "sandbox/client.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::str;

}  // namespace

int ca(const Context& context, bool rotate) {
  const auto layout = find_sandbox(context);
  if (!layout) return fail_with(layout.error());
  const auto answer =
      sandbox::call(layout->control_socket(), {{"cmd", rotate ? "rotate-root" : "ca"}});
  if (!answer) return fail_with(fmt::format("the control plane: {}", answer.error().text));
  if (context.json()) {
    print(answer->dump(2) + "\n");
    return kOk;
  }
  std::vector<std::vector<std::string>> rows = {
      {"ROOT", "SIGNS", "NOT BEFORE", "NOT AFTER", "SHA256"}};
  for (const auto& root : sandbox::list(*answer, {"roots"})) {
    rows.push_back({std::to_string(sandbox::number(root, {"number"})),
                    sandbox::truth(root, {"signs"}) ? "yes" : "no", str(root, {"notBefore"}),
                    str(root, {"notAfter"}), str(root, {"sha256"}).substr(0, 23)});
  }
  print(fmt::format("trust domain {}, rotation: {}\n{}", str(*answer, {"trustDomain"}),
                    str(*answer, {"phase"}), render_table(rows)));
  return kOk;
}

}  // namespace weft::cli
