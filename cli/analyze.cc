// analyze: what is wrong with the objects of a sandbox, or with manifests before they are applied.
#include "controlplane/frontends/analyze/analyze.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "cli/commands.h"
#include "cli/manifests.h"
#include "sandbox/json.h"

namespace weft::cli {
namespace {

namespace judge_ = controlplane::analyze;
using sandbox::Json;
using sandbox::str;

constexpr int kBadData = 65;
constexpr int kFindings = 79;  // as istioctl

// File and line; nothing for an object that is in no file of the person who asks.
std::string place_of(const judge_::Finding& finding) {
  return finding.place == shown(finding.object) ? "" : finding.place;
}

Json to_json(const judge_::Finding& finding) {
  Json out = {{"code", finding.code},
              {"level", judge_::to_string(finding.level)},
              {"origin", shown(finding.object)},
              {"message", finding.message}};
  if (const std::string place = place_of(finding); !place.empty()) out["reference"] = place;
  return out;
}

}  // namespace

int analyze(const Context& context, const ObjectArguments& arguments) {
  source::ObjectSet objects;
  std::set<source::ObjectKey> asked;  // of files; empty: by namespace
  const auto layout = find_sandbox(context);
  if (!layout && (arguments.files.empty() || !context.sandbox.empty()))
    return fail_with(layout.error());
  if (layout) {
    auto live = read_stored(layout->objects());
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
    const std::string place = place_of(finding);
    text += fmt::format("{} [{}] ({}{}{}) {}\n", judge_::to_string(finding.level), finding.code,
                        shown(finding.object), place.empty() ? "" : " ", place, finding.message);
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
