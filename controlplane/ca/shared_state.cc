#include "controlplane/ca/shared_state.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "controlplane/ca/files.h"
#include "source/kube/access.h"

namespace weft::controlplane::ca {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kState = "ca.json";
constexpr const char* kBundle = "root-cert.pem";
constexpr const char* kManager = "fieldManager=weft-controlplane&force=true";
constexpr long kNotFound = 404, kConflict = 409;

// ca.json, root-N-key.pem, root-N-cert.pem, root-cert.pem, envoy-token.key: no path, nothing of
// others.
bool is_ours(const std::string& name) {
  return name == kState || name == "envoy-token.key" ||
         (name.starts_with("root-") && name.ends_with(".pem") &&
          name.find('/') == std::string::npos);
}

std::string base64(const std::string& text) {
  std::string out(4 * ((text.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                  reinterpret_cast<const unsigned char*>(text.data()),
                  static_cast<int>(text.size()));
  return out;
}

Parsed<std::map<std::string, std::string>> files_of(const std::string& directory) {
  std::map<std::string, std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (!is_ours(name)) continue;
    auto text = read_file(entry.path());
    if (!text) return std::unexpected(text.error());
    out.emplace(name, std::move(*text));
  }
  if (error) return problem(directory + ": " + error.message());
  return out;
}

json secret(const std::string& ns, const std::string& name,
            const std::map<std::string, std::string>& files) {
  json data = json::object();
  for (const auto& [file, text] : files) data[file] = base64(text);
  return {{"apiVersion", "v1"},
          {"kind", "Secret"},
          {"metadata", {{"name", name}, {"namespace", ns}}},
          {"data", std::move(data)}};
}

}  // namespace

Parsed<std::optional<json>> SharedState::get() {
  const std::string path = "/api/v1/namespaces/" + options_.ns + "/secrets/" + options_.secret;
  const std::string name = "Secret " + options_.ns + "/" + options_.secret + ": ";
  const auto reply = options_.call({.path = path});
  if (reply.status == kNotFound && reply.error.empty()) return std::optional<json>();
  if (!reply.ok()) return problem(name + reply.describe());
  json found = json::parse(reply.body, nullptr, false);
  if (!found.is_object() || !found.contains("data") || !found["data"].is_object())
    return problem(name + "data: must be a map");
  return std::optional(std::move(found));
}

// ca.json names the others, so it comes last.
Parsed<bool> SharedState::take(const json& secret) {
  std::map<std::string, std::string> files;
  for (const auto& [name, value] : secret["data"].items()) {
    if (!is_ours(name) || !value.is_string()) continue;
    auto text = source::kube::base64_decoded(value.get<std::string>());
    if (!text)
      return problem("Secret " + options_.ns + "/" + options_.secret + ": data." + name + ": " +
                     text.error().text);
    files[name] = std::move(*text);
  }
  if (auto bad = make_directory(options_.state_dir)) return std::unexpected(*bad);
  const auto before = files_of(options_.state_dir);
  if (!before) return std::unexpected(before.error());
  const auto write = [&](const std::string& name) {
    return write_file(options_.state_dir + "/" + name, files.at(name),
                      name == kBundle ? 0644 : 0600);
  };
  for (const auto& [name, text] : files) {
    if (name == kState) continue;
    if (auto bad = write(name)) return std::unexpected(*bad);
  }
  if (files.contains(kState)) {
    if (auto bad = write(kState)) return std::unexpected(*bad);
  }
  for (const auto& [name, text] : *before) {
    if (!files.contains(name)) ::unlink((options_.state_dir + "/" + name).c_str());
  }
  exists_ = true;
  version_ = secret.contains("metadata") ? secret["metadata"].value("resourceVersion", "") : "";
  const bool news = files != *before;
  published_ = std::move(files);
  return news;
}

std::optional<Problem> SharedState::fetch() {
  const auto found = get();
  if (!found) return found.error();
  if (!*found) return std::nullopt;
  const auto taken = take(**found);
  if (!taken) return taken.error();
  return std::nullopt;
}

Parsed<bool> SharedState::refresh() {
  if (!exists_) return false;
  const auto found = get();
  if (!found) return std::unexpected(found.error());
  if (!*found) return false;
  const json& metadata = (**found)["metadata"];
  if (metadata.is_object() && metadata.value("resourceVersion", "") == version_) return false;
  return take(**found);
}

std::optional<Problem> SharedState::create(const std::map<std::string, std::string>& files) {
  const auto reply = options_.call({.method = "POST",
                                    .path = "/api/v1/namespaces/" + options_.ns + "/secrets",
                                    .body = secret(options_.ns, options_.secret, files).dump()});
  if (reply.ok()) {
    note_version(reply);
    return std::nullopt;
  }
  const std::string name = "Secret " + options_.ns + "/" + options_.secret + ": ";
  if (reply.status != kConflict) return Problem{name + reply.describe()};
  for (const auto& [file, text] : files) ::unlink((options_.state_dir + "/" + file).c_str());
  return Problem{name + "another replica made it meanwhile: start again, and take its roots"};
}

// The whole of it: a root that is gone must go. Over the version that we know, and no other.
std::optional<Problem> SharedState::replace(const std::map<std::string, std::string>& files) {
  json body = secret(options_.ns, options_.secret, files);
  if (!version_.empty()) body["metadata"]["resourceVersion"] = version_;
  const auto reply =
      options_.call({.method = "PUT",
                     .path = "/api/v1/namespaces/" + options_.ns + "/secrets/" + options_.secret,
                     .body = body.dump()});
  if (reply.ok()) {
    note_version(reply);
    return std::nullopt;
  }
  const std::string name = "Secret " + options_.ns + "/" + options_.secret + ": ";
  if (reply.status == kConflict) return Problem{name + "another replica wrote it first"};
  return Problem{name + reply.describe()};
}

void SharedState::note_version(const source::kube::Reply& reply) {
  const json written = json::parse(reply.body, nullptr, false);
  const bool told = written.is_object() && written.contains("metadata");
  version_ = told ? written["metadata"].value("resourceVersion", "") : "";
}

std::optional<Problem> SharedState::tell(const std::string& bundle) {
  const std::string name = options_.secret + "-root-cert";
  const json map = {{"apiVersion", "v1"},
                    {"kind", "ConfigMap"},
                    {"metadata", {{"name", name}, {"namespace", options_.ns}}},
                    {"data", {{kBundle, bundle}}}};
  const auto reply = options_.call(
      {.method = "PATCH",
       .path = "/api/v1/namespaces/" + options_.ns + "/configmaps/" + name + "?" + kManager,
       .body = map.dump(),
       .content_type = "application/apply-patch+yaml"});
  if (reply.ok()) return std::nullopt;
  return Problem{"ConfigMap " + options_.ns + "/" + name + ": " + reply.describe()};
}

std::optional<Problem> SharedState::publish() {
  auto files = files_of(options_.state_dir);
  if (!files) return files.error();
  if (!exists_ || *files != published_) {
    if (auto bad = exists_ ? replace(*files) : create(*files)) return bad;
    exists_ = true;
    published_ = *files;
  }
  const auto bundle = files->find(kBundle);
  if (bundle == files->end() || bundle->second == told_) return std::nullopt;
  if (auto bad = tell(bundle->second)) return bad;
  told_ = bundle->second;
  return std::nullopt;
}

}  // namespace weft::controlplane::ca
