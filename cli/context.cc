#include "cli/context.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "sandbox/client.h"
#include "sandbox/json.h"

namespace weft::cli {

Parsed<sandbox::Layout> find_sandbox(const Context& context) {
  namespace fs = std::filesystem;
  if (!context.sandbox.empty()) {
    if (!sandbox::is_sandbox_name(context.sandbox)) {
      return problem(fmt::format("\"{}\" is no sandbox name: at most 20 letters, digits and dashes",
                                 context.sandbox));
    }
    sandbox::Layout layout{context.sandbox};
    std::error_code error;
    if (fs::exists(layout.root(), error)) return layout;
    return problem(fmt::format("sandbox \"{}\" is not up: run `weftctl sandbox up --sandbox {}`",
                               context.sandbox, context.sandbox));
  }
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(std::string(sandbox::kStateRoot), error)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  if (names.size() == 1) return sandbox::Layout{names[0]};
  if (names.empty()) return problem("no sandbox is up: run `weftctl sandbox up`");
  return problem(
      fmt::format("several sandboxes are up ({}): name one with --sandbox or WEFT_SANDBOX",
                  fmt::join(names, ", ")));
}

Parsed<nlohmann::json> ask(const Context& context, const nlohmann::json& request) {
  const auto layout = find_sandbox(context);
  if (!layout) return problem(layout.error().text);
  const auto socket = layout->api_socket();
  if (!sandbox::dial_unix(socket)) {
    if (errno == EACCES)
      return problem(
          fmt::format("sandbox {}: {}: permission denied; a sandbox is root's: run weftctl as root",
                      layout->name, socket));
    return problem(
        fmt::format("sandbox {} does not answer at {}: it is starting, or its daemon has died (see "
                    "{}/sandbox.log); "
                    "`weftctl sandbox down --sandbox {}` cleans up",
                    layout->name, socket, layout->logs(), layout->name));
  }
  return sandbox::call(socket, request);
}

int fail_with(const std::string& text) {
  std::fprintf(stderr, "%s%s", text.c_str(), text.ends_with("\n") ? "" : "\n");
  return kFailure;
}
int fail_with(const Problem& problem) { return fail_with(problem.text); }

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace weft::cli
