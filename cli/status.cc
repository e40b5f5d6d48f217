// status: who is enrolled, since when, and who is not and why, as the nodes' agents tell it.
#include <fmt/format.h>

#include <cstdio>
#include <set>

#include "cli/commands.h"
#include "cli/table.h"
#include "cli/unplaced.h"
#include "sandbox/client.h"
#include "sandbox/ids.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::list;
using sandbox::str;

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

// Rows for the pods of which no agent tells: those that no node takes, and those whose node's agent
// does not answer. False when the sandbox did not tell which pods there are.
bool add_unplaced(const Context& context, const Json& nodes, Json& all,
                  std::vector<std::vector<std::string>>& rows) {
  const auto answer = ask(context, {{"cmd", "get"}, {"kind", "pods"}, {"all", true}});
  if (!answer) return fail_with(answer.error()), false;
  std::set<std::string> told, silent, names;
  for (const auto& pod : all) told.insert(str(pod, {"namespace"}) + "/" + str(pod, {"name"}));
  for (const auto& node : nodes) {
    names.insert(str(node, {"node"}));
    if (node.contains("error")) silent.insert(str(node, {"node"}));
  }
  for (const auto& pod : on_silent_nodes((*answer)["items"], silent)) {
    all.push_back({{"namespace", pod.ns},
                   {"name", pod.name},
                   {"node", pod.node},
                   {"state", "unknown"},
                   {"reason", pod.why}});
    rows.push_back({pod.ns, pod.name, pod.node, "unknown", "-", pod.why});
  }
  for (const auto& pod : unplaced((*answer)["items"], told, silent, names)) {
    all.push_back({{"namespace", pod.ns},
                   {"name", pod.name},
                   {"node", pod.node},
                   {"state", "unplaced"},
                   {"reason", pod.why}});
    rows.push_back({pod.ns, pod.name, or_dash(pod.node), "unplaced", "-", pod.why});
  }
  return true;
}

}  // namespace

int status(const Context& context) {
  const auto layout = find_sandbox(context);
  if (!layout) return fail_with(layout.error());
  const auto sandbox = ask(context, {{"cmd", "status"}});
  if (!sandbox) return fail_with(sandbox.error());
  int code = kOk;
  Json nodes = Json::array(), all_pods = Json::array();
  std::vector<std::vector<std::string>> components = {
      {"COMPONENT", "NODE", "STATE", "PID", "RESTARTS", "LAST END"}};
  std::vector<std::vector<std::string>> pods = {
      {"NAMESPACE", "POD", "NODE", "STATE", "SINCE", "WHY"}};
  for (const auto& c : (*sandbox)["components"]) {
    const auto pid = sandbox::number(c, {"pid"});
    components.push_back({str(c, {"name"}), or_dash(str(c, {"node"})), str(c, {"state"}),
                          pid > 0 ? std::to_string(pid) : "-",
                          std::to_string(sandbox::number(c, {"restarts"})),
                          or_dash(str(c, {"lastEnd"}))});
    if (str(c, {"name"}) != "agent") continue;
    const auto node = str(c, {"node"});
    auto agent =
        sandbox::call(layout->agent_socket(node), {{"cmd", "status"}}, std::chrono::seconds(2));
    if (!agent) {
      code =
          fail_with(fmt::format("the agent on {} does not answer: {}", node, agent.error().text));
      nodes.push_back({{"node", node}, {"error", agent.error().text}});
      continue;
    }
    for (const auto& pod : list(*agent, {"pods"})) {
      const auto since = str(pod, {"since"}), error = str(pod, {"error"}), key = str(pod, {"key"});
      auto why = str(pod, {"reason"}) + (key.empty() ? "" : " (" + key + ")");
      if (!error.empty()) why += "; " + error;
      all_pods.push_back(pod);
      all_pods.back()["node"] = node;
      const auto seconds = since.empty() ? std::string() : since.substr(0, 19) + "Z";
      pods.push_back({str(pod, {"namespace"}), str(pod, {"name"}), node, str(pod, {"state"}),
                      since.empty() ? "-" : human_duration(sandbox::seconds_since(seconds)), why});
    }
    nodes.push_back(std::move(*agent));
  }
  if (!add_unplaced(context, nodes, all_pods, pods)) code = kFailure;
  if (context.json()) {
    print(Json{{"name", layout->name},
               {"components", (*sandbox)["components"]},
               {"pods", all_pods},
               {"nodes", nodes}}
              .dump(2) +
          "\n");
  } else {
    print(render_table(components) + "\n" + (pods.size() > 1 ? render_table(pods) : "no pods\n"));
  }
  return code;
}

int version(const Context& context) {
  const auto layout = find_sandbox(context);
  const auto state =
      layout ? sandbox::call(layout->api_socket(), {{"cmd", "status"}}, std::chrono::seconds(2))
             : problem("");
  // A daemon that began before a new build goes on with the old one.
  const auto server = state ? str(*state, {"version"}, "unknown") : std::string("unavailable");
  if (context.json())
    print(Json{{"client", WEFT_VERSION}, {"server", server}}.dump() + "\n");
  else
    print(fmt::format("Client version: {}\nServer version: {}{}\n", WEFT_VERSION, server,
                      state ? fmt::format(" (sandbox {})", layout->name) : ""));
  return kOk;
}

}  // namespace weft::cli
