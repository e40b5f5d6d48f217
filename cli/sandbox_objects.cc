// apply, delete, get, label, annotate, wait: what kubectl does, against a sandbox.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <thread>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/duration.h"
#include "cli/table.h"
#include "sandbox/client.h"
#include "sandbox/file.h"
#include "sandbox/ids.h"
#include "sandbox/json.h"
#include "source/object.h"

namespace weft::cli {
namespace {

namespace fs = std::filesystem;
using sandbox::Json;
using sandbox::list;
using sandbox::str;

constexpr auto kPoll = std::chrono::milliseconds(15);

// Files of `-f`: a file, a directory's manifests, or - for stdin.
Parsed<std::vector<std::string>> manifest_files(const std::vector<std::string>& given) {
  std::vector<std::string> files;
  for (const auto& path : given) {
    std::error_code error;
    if (path == "-" || !fs::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> inside;
    for (const auto& entry : fs::directory_iterator(path, error)) {
      const auto extension = entry.path().extension();
      if (extension == ".yaml" || extension == ".yml" || extension == ".json")
        inside.push_back(entry.path().string());
    }
    if (inside.empty()) return problem(fmt::format("{} holds no .yaml, .yml or .json file", path));
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

struct Manifest {
  source::ObjectPtr object;
  Json body;  // namespace filled in
};

Parsed<std::vector<Manifest>> read_manifests(const ObjectArguments& arguments) {
  const auto files = manifest_files(arguments.files);
  if (!files) return problem(files.error().text);
  std::vector<Manifest> manifests;
  for (const auto& file : *files) {
    std::string text;
    if (file == "-") {
      text.assign(std::istreambuf_iterator<char>(std::cin), {});
    } else {
      auto read = sandbox::read_file(file);
      if (!read) return problem(read.error().text);
      text = std::move(*read);
    }
    const auto objects = source::parse_manifest(text, file == "-" ? "stdin" : file);
    if (!objects) return problem(objects.error().text);
    for (const auto& object : *objects) {
      Json body = *object->body;
      if (!source::is_cluster_scoped(object->kind) &&
          str(body, {"metadata", "namespace"}).empty()) {
        body["metadata"]["namespace"] = arguments.ns;
      }
      manifests.push_back({object, std::move(body)});
    }
  }
  if (manifests.empty()) return problem("error: no objects passed to apply");
  return manifests;
}

struct Target {
  std::string kind, name;
};

// KIND NAME…, KIND/NAME…, or KIND alone (name empty).
Parsed<std::vector<Target>> targets(const std::vector<std::string>& names) {
  std::vector<Target> found;
  if (names.empty()) return problem("error: you must name a KIND and a NAME");
  if (names[0].find('/') != std::string::npos) {
    for (const auto& word : names) {
      const auto slash = word.find('/');
      if (slash == std::string::npos)
        return problem(fmt::format("error: \"{}\" is not KIND/NAME", word));
      found.push_back({word.substr(0, slash), word.substr(slash + 1)});
    }
    return found;
  }
  for (std::size_t i = 1; i < names.size(); ++i) found.push_back({names[0], names[i]});
  if (found.empty()) found.push_back({names[0], ""});
  return found;
}

Json request_for(const char* command, const Target& target, const ObjectArguments& arguments) {
  return {{"cmd", command},
          {"kind", target.kind},
          {"name", target.name},
          {"namespace", arguments.ns},
          {"all", arguments.all_namespaces},
          {"selector", arguments.selector},
          {"grace", arguments.grace}};
}

// What the control plane says about a mesh object (Accepted, Conflict …) goes into the status that
// is shown: a sandbox's objects are files, which it only reads.
void add_conditions(const Context& context, const std::string& kind, Json& items) {
  const auto layout = find_sandbox(context);
  if (!layout || items.empty() || kind.find('.') == std::string::npos || kind.ends_with(".apps") ||
      kind.ends_with(".batch"))
    return;
  const auto told =
      sandbox::call(layout->control_socket(), {{"cmd", "status"}}, std::chrono::seconds(1));
  if (!told) return;
  for (auto& item : items) {
    for (const auto& one : list(*told, {"objects"})) {
      if (str(one, {"kind"}) != kind || str(one, {"name"}) != sandbox::name_of(item) ||
          str(one, {"namespace"}) != sandbox::ns_of(item))
        continue;
      for (const auto& condition : list(one, {"conditions"}))
        item["status"]["conditions"].push_back(condition);
    }
  }
}

// `get` at the daemon, with the conditions.
Parsed<Json> fetch(const Context& context, const Json& request) {
  auto answer = ask(context, request);
  if (!answer) return answer;
  const auto group = str(*answer, {"kind", "group"});
  add_conditions(context, str(*answer, {"kind", "kind"}) + (group.empty() ? "" : "." + group),
                 (*answer)["items"]);
  return answer;
}

bool is_not_found(const std::string& text) { return text.find("(NotFound)") != std::string::npos; }

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
      if (!answer && is_not_found(answer.error().text)) break;
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

}  // namespace

int sandbox_apply(const Context& context, const ObjectArguments& arguments) {
  const auto manifests = read_manifests(arguments);
  if (!manifests) return fail_with(manifests.error());
  Json objects = Json::array();
  for (const auto& manifest : *manifests)
    objects.push_back({{"body", manifest.body}, {"origin", manifest.object->origin}});
  const auto answer = ask(context, {{"cmd", "apply"}, {"objects", objects}});
  if (!answer) return fail_with(answer.error());
  int code = kOk;
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
    const auto manifests = read_manifests(arguments);
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
  std::vector<Json> items;
  std::string kind;
  bool single = named->size() == 1 && !named->front().name.empty();
  for (const auto& target : *named) {
    const auto answer = fetch(context, request_for("get", target, arguments));
    if (!answer) {
      if (arguments.ignore_not_found && is_not_found(answer.error().text)) return kOk;
      return fail_with(answer.error());
    }
    const auto group = str(*answer, {"kind", "group"});
    kind = str(*answer, {"kind", "kind"}) + (group.empty() ? "" : "." + group);
    for (const auto& item : (*answer)["items"]) items.push_back(item);
  }
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
  } else if (items.empty()) {
    std::fprintf(
        stderr,
        arguments.all_namespaces ? "No resources found\n" : "No resources found in %s namespace.\n",
        arguments.ns.c_str());
  } else {
    print(object_table(kind, items,
                       {.wide = context.output == "wide",
                        .namespaces = arguments.all_namespaces,
                        .headers = !arguments.no_headers,
                        .age = sandbox::seconds_since}));
  }
  return kOk;
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

namespace {

// Does the object satisfy --for? "Ready", "condition=Ready=True",
// "jsonpath={.status.phase}=Running".
Parsed<bool> satisfied(const Json& object, const std::string& wanted) {
  if (wanted.starts_with("jsonpath=")) {
    const auto close = wanted.rfind('}');
    const auto equals = close == std::string::npos ? std::string::npos : wanted.find('=', close);
    const auto value =
        json_path(object, wanted.substr(9, equals == std::string::npos ? equals : equals - 9));
    if (!value) return problem(value.error().text);
    return equals == std::string::npos ? !value->empty() : *value == wanted.substr(equals + 1);
  }
  auto name = wanted.starts_with("condition=") ? wanted.substr(10) : wanted;
  std::string status = "True";
  if (const auto equals = name.find('='); equals != std::string::npos) {
    status = name.substr(equals + 1);
    name.resize(equals);
  }
  const auto lower = [](std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
  };
  const long generation = sandbox::number(object, {"metadata", "generation"}),
             observed = sandbox::number(object, {"status", "observedGeneration"}, generation);
  for (const auto& condition : list(object, {"status", "conditions"})) {
    if (lower(str(condition, {"type"})) == lower(name))
      return lower(str(condition, {"status"})) == lower(status) && observed >= generation;
  }
  // Istio's and the Gateway API's per-ancestor conditions.
  for (const auto* field : {"ancestors", "parents"}) {
    for (const auto& ancestor : list(object, {"status", field})) {
      for (const auto& condition : list(ancestor, {"conditions"})) {
        if (lower(str(condition, {"type"})) == lower(name))
          return lower(str(condition, {"status"})) == lower(status);
      }
    }
  }
  return false;
}

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
          const auto one = satisfied(item, arguments.condition);
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
