// Outcome as files.
#include "controlplane/ca/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/fd.h"
#include "controlplane/deploy/outcome.h"

namespace weft::controlplane::deploy {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string file_name(const std::string& kind, const std::string& ns, const std::string& name) {
  return kind + "_" + (ns.empty() ? "" : ns + "_") + name + ".json";
}

std::string kind_key(const json& object) {
  const std::string version = object.at("apiVersion");
  const auto slash = version.find('/');
  const std::string kind = object.at("kind");
  return slash == std::string::npos ? kind : kind + "." + version.substr(0, slash);
}

class Files : public Outcome {
 public:
  explicit Files(std::string directory) : directory_(std::move(directory)) {}

  std::optional<Problem> open() {
    for (auto [part, held] : {std::pair{"objects", &objects_}, std::pair{"status", &statuses_}}) {
      std::error_code error;
      for (const auto& entry : fs::directory_iterator(directory_ + "/" + part, error))
        (*held)[entry.path().filename().string()] = "";
      if (error) return Problem{"--out " + directory_ + "/" + part + ": " + error.message()};
    }
    return std::nullopt;
  }

  std::optional<Problem> objects(const std::vector<json>& all) override {
    std::map<std::string, std::string> wanted;
    for (const json& object : all) {
      const json& metadata = object.at("metadata");
      wanted[file_name(kind_key(object), metadata.value("namespace", ""), metadata.at("name"))] =
          object.dump(1) + "\n";
    }
    for (const auto& [name, text] : wanted) {
      if (auto bad = put("objects", objects_, name, text)) return bad;
    }
    std::vector<std::string> gone;
    for (const auto& [name, text] : objects_) {
      if (!wanted.contains(name)) gone.push_back(name);
    }
    for (const std::string& name : gone) drop("objects", objects_, name);
    return std::nullopt;
  }

  std::optional<Problem> statuses(const std::vector<StatusPatch>& changed,
                                  const std::vector<source::ObjectKey>& gone) override {
    for (const StatusPatch& patch : changed) {
      json metadata = {{"name", patch.key.name}};
      if (!patch.key.ns.empty()) metadata["namespace"] = patch.key.ns;
      const json object = {{"apiVersion", patch.api_version},
                           {"kind", patch.kind},
                           {"metadata", std::move(metadata)},
                           {"status", *patch.status}};
      if (auto bad =
              put("status", statuses_, file_name(patch.key.kind, patch.key.ns, patch.key.name),
                  object.dump(1) + "\n"))
        return bad;
    }
    for (const source::ObjectKey& key : gone)
      drop("status", statuses_, file_name(key.kind, key.ns, key.name));
    return std::nullopt;
  }

 private:
  using Held = std::map<std::string, std::string>;  // file name → text that we wrote

  std::optional<Problem> put(const char* part, Held& held, const std::string& name,
                             const std::string& text) {
    const auto known = held.find(name);
    if (known != held.end() && known->second == text) return std::nullopt;
    if (auto bad = ca::write_file(directory_ + "/" + part + "/" + name, text, 0600)) return bad;
    held[name] = text;
    return std::nullopt;
  }
  void drop(const char* part, Held& held, const std::string& name) {
    held.erase(name);
    ::unlink((directory_ + "/" + part + "/" + name).c_str());
  }

  std::string directory_;
  Held objects_, statuses_;
};

}  // namespace

Parsed<std::unique_ptr<Outcome>> files_outcome(const std::string& directory) {
  auto files = std::make_unique<Files>(directory);
  if (auto bad = files->open()) return std::unexpected(*bad);
  return files;
}

}  // namespace weft::controlplane::deploy
