// explain: what becomes of a connection or a request, and which objects decide, as the control
// plane tells it.
#include <fmt/format.h>

#include "cli/commands.h"
#include "sandbox/client.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::str;

constexpr int kRefused = 80;

std::string line(const char* name, const std::string& text) {
  return fmt::format("{:<9}{}\n", name, text);
}

// "name  a\n      b\n" of several.
std::string lines(const char* name, const Json& texts) {
  std::string out;
  for (const auto& one : texts)
    out += line(out.empty() ? name : "",
                one.is_string() ? one.get<std::string>() : str(one, {"text"}));
  return out;
}

std::string percent(const Json& of) { return fmt::format("{:g} %", of["percent"].get<double>()); }

// What the route does beside choosing.
std::string details(const Json& route) {
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (route.contains("pathBecomes")) add("path becomes " + str(route, {"pathBecomes"}));
  if (route.contains("authorityBecomes")) add("host becomes " + str(route, {"authorityBecomes"}));
  if (route.contains("timeoutMs"))
    add(fmt::format("timeout {} ms", route["timeoutMs"].get<long>()));
  if (route.contains("retries")) add(fmt::format("retries {}", route["retries"].get<long>()));
  if (route.contains("delay"))
    add(fmt::format("delays {} by {} ms", percent(route["delay"]),
                    route["delay"]["ms"].get<long>()));
  if (route.contains("abort"))
    add(fmt::format("aborts {} with {}", percent(route["abort"]),
                    route["abort"].contains("grpcStatus")
                        ? fmt::format("gRPC status {}", route["abort"]["grpcStatus"].get<long>())
                        : fmt::format("{}", route["abort"]["status"].get<long>())));
  for (const auto& one : sandbox::list(route, {"mirrors"}))
    add(fmt::format("mirrors {} to {}", percent(one), str(one, {"service"})));
  return out;
}

std::string route_lines(const Json& route) {
  if (!route.is_object()) return "";
  std::string out = line("route", str(route, {"text"}));
  for (const auto& one : sandbox::list(route, {"destinations"})) {
    const auto subset = str(one, {"subset"}), broken = str(one, {"broken"});
    out += line("", fmt::format("{} to {}{}{}", percent(one), str(one, {"service"}),
                                subset.empty() ? "" : " subset " + subset,
                                broken.empty() ? "" : " (500: " + broken + ")"));
  }
  const std::string more = details(route);
  return more.empty() ? out : out + line("", more);
}

std::string policy_lines(const Json& policies) {
  std::string out;
  for (const auto& one : policies)
    out += line(out.empty() ? "policy" : "",
                fmt::format("{}: {}", str(one, {"at"}), str(one, {"text"})));
  return out;
}

std::string endpoint_lines(const Json& endpoints) {
  std::string out;
  for (const auto& one : endpoints)
    out += line(out.empty() ? "pods" : "",
                fmt::format("{} at {} on {}, {}{}", str(one, {"pod"}), str(one, {"address"}),
                            str(one, {"node"}), str(one, {"transport"}),
                            sandbox::truth(one, {"allowed"}) ? "" : ": refused"));
  return out;
}

std::string to_text(const Json& answer, const ExplainArguments& arguments) {
  const auto identity = str(answer, {"source", "identity"});
  std::string out =
      line("from", str(answer, {"source", "pod"}) + " on " + str(answer, {"source", "node"}) +
                       (identity.empty() ? "" : ", " + identity));
  out += line(
      "to", fmt::format("{} ({})", arguments.destination, str(answer, {"destination", "address"})));
  out += line("request", arguments.method + " " + arguments.path);
  out += lines("path", answer["path"]);
  out += route_lines(answer["route"]);
  out += policy_lines(answer["policy"]);
  out += endpoint_lines(answer["endpoints"]);
  out += lines("note", answer["notes"]);
  return out + line("verdict", str(answer, {"verdict"}) + ": " + str(answer, {"text"}));
}

}  // namespace

int explain(const Context& context, const ExplainArguments& arguments) {
  const auto layout = find_sandbox(context);
  if (!layout) return fail_with(layout.error());
  const auto answer =
      sandbox::call(layout->control_socket(), {{"cmd", "explain"},
                                               {"source", arguments.source},
                                               {"destination", arguments.destination},
                                               {"namespace", arguments.ns},
                                               {"method", arguments.method},
                                               {"path", arguments.path},
                                               {"headers", arguments.headers}});
  if (!answer) return fail_with(fmt::format("explain: {}", answer.error().text));
  if (context.json()) {
    print(answer->dump(2) + "\n");
  } else {
    print(to_text(*answer, arguments));
  }
  const auto verdict = str(*answer, {"verdict"});
  return verdict == "allowed" || verdict == "answered" ? kOk : kRefused;
}

}  // namespace weft::cli
