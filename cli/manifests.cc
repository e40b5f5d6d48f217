#include "cli/manifests.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "controlplane/frontends/admit.h"
#include "controlplane/frontends/analyze/analyze.h"
#include "sandbox/file.h"
#include "sandbox/json.h"
#include "sandbox/kinds.h"
#include "source/watch.h"

namespace weft::cli {
namespace {

namespace fs = std::filesystem;
using sandbox::Json;
using sandbox::str;

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

}  // namespace

Parsed<std::vector<Manifest>> read_manifests(const std::vector<std::string>& paths,
                                             const std::string& default_namespace) {
  const auto files = manifest_files(paths);
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
        body["metadata"]["namespace"] = default_namespace;
      }
      manifests.push_back({object, std::move(body)});
    }
  }
  if (manifests.empty())
    return problem(fmt::format("error: no objects in {}", fmt::join(paths, ", ")));
  return manifests;
}

std::string shown(const source::ObjectKey& key) {
  const std::string kind = key.kind.substr(0, key.kind.find('.'));
  return key.ns.empty() ? kind + " " + key.name : kind + " " + key.ns + "/" + key.name;
}

Parsed<source::ObjectSet> read_stored(const std::string& directory) {
  source::ObjectSet out;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file(error) || !source::is_manifest_name(name)) continue;
    const auto text = sandbox::read_file(entry.path().string());
    if (!text) continue;  // gone since
    const auto objects = source::parse_manifest(*text, entry.path().string());
    if (!objects) return problem(objects.error().text);
    for (const auto& stored : *objects) {
      const auto object = source::make_object(*stored->body, shown(stored->key()));
      if (!object) return problem(object.error().text);
      out[(*object)->key()] = *object;
    }
  }
  if (error) return problem(fmt::format("{}: {}", directory, error.message()));
  return out;
}

Parsed<void> judge(const source::Object& object) {
  if (const auto refused = controlplane::admit_mesh(object)) return problem(refused->text);
  return {};
}

std::vector<std::string> warnings(const source::ObjectPtr& object) {
  std::vector<std::string> out;
  for (const auto& finding : controlplane::analyze::analyze({{object->key(), object}})) {
    const bool known = finding.code == "WFT0001" || finding.code == "IST0002";
    if (known) out.push_back(fmt::format("Warning: {}: {}", finding.place, finding.message));
  }
  if (const auto text = sandbox::without_effect(object->api_version, object->kind);
      !text.empty() && out.empty())
    out.push_back(fmt::format("Warning: {}: {}", object->at("kind"), text));
  return out;
}

}  // namespace weft::cli
