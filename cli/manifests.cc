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
  return out;
}

}  // namespace weft::cli
