// analyze: what is wrong with the objects of a sandbox, or with manifests before they are applied.
#include "controlplane/frontends/analyze/analyze.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>

#include "cli/commands.h"
#include "cli/manifests.h"
#include "sandbox/file.h"
#include "sandbox/json.h"
#include "source/watch.h"

namespace weft::cli {
namespace {

namespace fs = std::filesystem;
namespace judge_ = controlplane::analyze;
using sandbox::Json;
using sandbox::str;

constexpr int kBadData = 65;
constexpr int kFindings = 79;  // as istioctl

// Everything that the sandbox holds.
Parsed<source::ObjectSet> live_objects(const sandbox::Layout& layout) {
  source::ObjectSet out;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(layout.objects(), error)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file(error) || !source::is_manifest_name(name)) continue;
    const auto text = sandbox::read_file(entry.path().string());
    if (!text) continue;  // gone since
    const auto objects = source::parse_manifest(*text, entry.path().string());
    if (!objects) return problem(objects.error().text);
    for (const auto& object : *objects) out[object->key()] = object;
  }
  if (error) return problem(fmt::format("{}: {}", layout.objects(), error.message()));
  return out;
}

std::string shown(const source::ObjectKey& key) {
  const std::string kind = key.kind.substr(0, key.kind.find('.'));
  return key.ns.empty() ? kind + " " + key.name : kind + " " + key.ns + "/" + key.name;
}

Json to_json(const judge_::Finding& finding) {
  return {{"code", finding.code},
          {"level", judge_::to_string(finding.level)},
          {"origin", shown(finding.object)},
          {"reference", finding.place},
          {"message", finding.message}};
}

}  // namespace

int analyze(const Context& context, const ObjectArguments& arguments) {
  source::ObjectSet objects;
  std::set<source::ObjectKey> asked;  // of files; empty: by namespace
  const auto layout = find_sandbox(context);
  if (!layout && (arguments.files.empty() || !context.sandbox.empty()))
    return fail_with(layout.error());
  if (layout) {
    auto live = live_objects(*layout);
    if (!live) return fail_with(live.error());
    objects = std::move(*live);
  }
  if (!arguments.files.empty()) {
    const auto manifests = read_manifests(arguments.files, arguments.ns);
    if (!manifests) {
      fail_with(manifests.error());
      return kBadData;
    }
    for (const Manifest& manifest : *manifests) {
      source::Object object = *manifest.object;
      if (!object.ns.empty()) object.ns = str(manifest.body, {"metadata", "namespace"});
      const auto key = object.key();
      asked.insert(key);
      objects[key] = std::make_shared<const source::Object>(std::move(object));
    }
  }
  const auto all = judge_::analyze(objects);
  Json json = Json::array();
  std::string text;
  std::size_t errors = 0, count = 0;
  for (const judge_::Finding& finding : all) {
    const bool mine = !asked.empty()             ? asked.contains(finding.object)
                      : arguments.all_namespaces ? true
                                                 : finding.object.ns == arguments.ns ||
                                                       (finding.object.kind == "Namespace" &&
                                                        finding.object.name == arguments.ns);
    if (!mine) continue;
    ++count;
    if (finding.level == judge_::Level::kError) ++errors;
    json.push_back(to_json(finding));
    text += fmt::format("{} [{}] ({} {}) {}\n", judge_::to_string(finding.level), finding.code,
                        shown(finding.object), finding.place, finding.message);
  }
  if (context.json()) {
    print(json.dump(2) + "\n");
  } else if (count == 0) {
    print(fmt::format("No validation issues found when analyzing {}.\n",
                      !asked.empty()             ? fmt::format("{} objects", asked.size())
                      : arguments.all_namespaces ? "all namespaces"
                                                 : "namespace " + arguments.ns));
  } else {
    print(text);
  }
  if (errors == 0) return kOk;
  std::fprintf(stderr, "Error: %zu of %zu findings are errors\n", errors, count);
  return kFindings;
}

}  // namespace weft::cli
