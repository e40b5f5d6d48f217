// apply, delete, get, label, annotate: what kubectl does, against a sandbox.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "base/clock.h"
#include "cli/duration.h"
#include "cli/manifests.h"
#include "cli/objects.h"
#include "cli/table.h"
#include "sandbox/ids.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

using sandbox::Json;
using sandbox::str;

constexpr auto kPoll = std::chrono::milliseconds(15);

// A kind that only its objects made known goes with the last of them.
bool is_gone(const std::string& text) {
  return is_not_found(text) || text.find("doesn't have a resource type") != std::string::npos;
}

// Waits until none of what was deleted is there any more (another object of the same name is
// another object).
int wait_until_gone(const Context& context, const Json& deleted, std::chrono::milliseconds limit) {
  const auto deadline = Deadline::after(Clock::now(), limit);
  for (const auto& entry : deleted) {
    for (;;) {
      const auto answer = ask(context, {{"cmd", "get"},
                                        {"kind", entry["kind"]},
                                        {"name", entry["name"]},
                                        {"namespace", entry["namespace"]}});
      if (!answer && is_gone(answer.error().text)) break;
      if (!answer) return fail_with(answer.error());
      if (sandbox::uid_of((*answer)["items"][0]) != str(entry, {"uid"})) break;
      if (deadline.passed(Clock::now()))
        return fail_with(
            fmt::format("error: timed out waiting for {} to be gone", str(entry, {"shown"})));
      std::this_thread::sleep_for(kPoll);
    }
  }
  return kOk;
}

// What one kind was asked for and found.
struct Group {
  std::string kind;  // as in source::ObjectKey
  std::vector<Json> items;
};

void show_tables(const Context& context, const ObjectArguments& arguments,
                 const std::vector<Group>& groups) {
  std::string text;
  for (const auto& group : groups) {
    if (group.items.empty()) continue;
    if (!text.empty()) text += "\n";
    text += object_table(group.kind, group.items,
                         {.wide = context.output == "wide",
                          .namespaces = arguments.all_namespaces,
                          .headers = !arguments.no_headers,
                          .age = sandbox::seconds_since});
  }
  print(text);
  if (!text.empty()) return;
  std::fprintf(
      stderr,
      arguments.all_namespaces ? "No resources found\n" : "No resources found in %s namespace.\n",
      arguments.ns.c_str());
}

// `single`: one object was asked for by its name, and is no list.
int show(const Context& context, const ObjectArguments& arguments, const std::vector<Group>& groups,
         bool single) {
  std::vector<Json> items;
  for (const auto& group : groups)
    items.insert(items.end(), group.items.begin(), group.items.end());
  const Json all =
      single ? items[0] : Json{{"apiVersion", "v1"}, {"kind", "List"}, {"items", items}};
  if (context.json()) {
    print(all.dump(2) + "\n");
  } else if (context.output == "yaml") {
    print(to_yaml(all));
  } else if (context.output == "name") {
    for (const auto& item : items) {
      auto word = str(item, {"kind"});
      std::transform(word.begin(), word.end(), word.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      print(fmt::format("{}/{}\n", word, sandbox::name_of(item)));
    }
  } else if (context.output.starts_with("jsonpath=")) {
    const auto text = json_path(all, context.output.substr(9));
    if (!text) return fail_with(text.error());
    print(*text);
  } else {
    show_tables(context, arguments, groups);
  }
  return kOk;
}

}  // namespace

int sandbox_apply(const Context& context, const ObjectArguments& arguments) {
  const auto manifests = read_manifests(arguments.files, arguments.ns);
  if (!manifests) return fail_with(manifests.error());
  Json objects = Json::array();
  int code = kOk;
  for (const auto& manifest : *manifests) {
    if (const auto good = judge(*manifest.object); !good) {
      code = fail_with(good.error());
      continue;
    }
    for (const auto& warning : warnings(manifest.object))
      std::fprintf(stderr, "%s\n", warning.c_str());
    objects.push_back({{"body", manifest.body}, {"origin", manifest.object->origin}});
  }
  const auto answer = ask(context, {{"cmd", "apply"}, {"objects", objects}});
  if (!answer) return fail_with(answer.error());
  for (const auto& result : (*answer)["results"]) {
    if (result.contains("error"))
      code = fail_with(str(result, {"error"}));
    else if (!context.json())
      print(fmt::format("{} {}\n", str(result, {"name"}), str(result, {"verb"})));
  }
  if (context.json()) print((*answer)["results"].dump(2) + "\n");
  return code;
}

int sandbox_delete(const Context& context, const ObjectArguments& arguments) {
  std::vector<std::pair<Target, std::string>> wanted;  // target, namespace
  if (!arguments.files.empty()) {
    const auto manifests = read_manifests(arguments.files, arguments.ns);
    if (!manifests) return fail_with(manifests.error());
    for (auto it = manifests->rbegin(); it != manifests->rend(); ++it) {
      const auto group = it->object->group();
      wanted.push_back({{it->object->kind + (group.empty() ? "" : "." + group), it->object->name},
                        str(it->body, {"metadata", "namespace"})});
    }
  } else {
    const auto named = targets(arguments.names);
    if (!named) return fail_with(named.error());
    if (named->front().name.empty() && arguments.selector.empty() && !arguments.all) {
      return fail_with(
          "error: resource(s) were provided, but no name was specified: give a NAME, -l SELECTOR "
          "or --all");
    }
    for (const auto& target : *named) wanted.push_back({target, arguments.ns});
  }
  int code = kOk;
  Json gone = Json::array();
  for (const auto& [target, ns] : wanted) {
    auto request = request_for("delete", target, arguments);
    request["namespace"] = ns;
    const auto answer = ask(context, request);
    if (!answer) {
      if (arguments.ignore_not_found && is_not_found(answer.error().text)) continue;
      code = fail_with(answer.error());
      continue;
    }
    for (const auto& entry : (*answer)["deleted"]) {
      gone.push_back(entry);
      if (!context.json()) print(fmt::format("{} deleted\n", str(entry, {"shown"})));
    }
  }
  if (context.json()) print(gone.dump(2) + "\n");
  if (arguments.wait) {
    const auto limit = parse_duration(arguments.timeout.empty() ? "120s" : arguments.timeout);
    if (!limit) return fail_with(limit.error());
    const int waited = wait_until_gone(context, gone, *limit);
    if (waited != kOk) return waited;
  }
  return code;
}

int sandbox_get(const Context& context, const ObjectArguments& arguments) {
  const auto named = targets(arguments.names);
  if (!named) return fail_with(named.error());
  std::vector<Group> groups;
  int code = kOk;
  // As kubectl: what is there is shown, what is not is said, and the exit code tells of it.
  for (const auto& target : *named) {
    const auto answer = fetch(context, request_for("get", target, arguments));
    if (!answer) {
      if (!arguments.ignore_not_found || !is_not_found(answer.error().text))
        code = fail_with(answer.error());
      continue;
    }
    const auto group = str(*answer, {"kind", "group"});
    const auto kind = str(*answer, {"kind", "kind"}) + (group.empty() ? "" : "." + group);
    if (groups.empty() || groups.back().kind != kind) groups.push_back({kind, {}});
    for (const auto& item : (*answer)["items"]) groups.back().items.push_back(item);
  }
  const bool single = named->size() == 1 && !named->front().name.empty();
  if (groups.empty() && (single || code != kOk)) return code;
  if (const int shown = show(context, arguments, groups, single); shown != kOk) return shown;
  return code;
}

int sandbox_annotate(const Context& context, const ObjectArguments& arguments, const char* field) {
  std::vector<std::string> names;
  Json changes = Json::object();
  for (const auto& word : arguments.names) {
    const auto equals = word.find('=');
    if (equals != std::string::npos)
      changes[word.substr(0, equals)] = word.substr(equals + 1);
    else if (word.ends_with("-") && names.size() >= 1 &&
             (names.size() > 1 || names[0].find('/') != std::string::npos))
      changes[word.substr(0, word.size() - 1)] = nullptr;
    else
      names.push_back(word);
  }
  const auto named = targets(names);
  if (!named) return fail_with(named.error());
  if (changes.empty()) return fail_with("error: at least one KEY=VALUE or KEY- is required");
  for (const auto& target : *named) {
    if (target.name.empty()) return fail_with("error: you must name a KIND and a NAME");
    auto request = request_for("annotate", target, arguments);
    request["field"] = field;
    request["changes"] = changes;
    const auto answer = ask(context, request);
    if (!answer) return fail_with(answer.error());
    const bool changed = (*answer)["changed"].get<bool>();
    const char* done = std::string_view(field) == "labels" ? "labeled" : "annotated";
    if (context.json())
      print(answer->dump() + "\n");
    else
      print(fmt::format("{} {}\n", str(*answer, {"shown"}),
                        changed ? done : fmt::format("not {}", done)));
  }
  return kOk;
}

}  // namespace weft::cli
