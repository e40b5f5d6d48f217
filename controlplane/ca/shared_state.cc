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

constexpr const char* kBundle = "root-cert.pem";
constexpr const char* kManager = "fieldManager=weft-controlplane&force=true";
constexpr long kNotFound = 404, kConflict = 409;

// ca.json, root-N-key.pem, root-N-cert.pem, root-cert.pem, envoy-token.key: no path, nothing of
// others.
bool is_ours(const std::string& name) {
  return name == "ca.json" || name == "envoy-token.key" ||
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

std::optional<Problem> SharedState::fetch() {
  const std::string path = "/api/v1/namespaces/" + options_.ns + "/secrets/" + options_.secret;
  const auto reply = options_.call({.path = path});
  if (reply.status == kNotFound && reply.error.empty()) return std::nullopt;
  if (!reply.ok())
    return Problem{"Secret " + options_.ns + "/" + options_.secret + ": " + reply.describe()};
  const json found = json::parse(reply.body, nullptr, false);
  if (!found.is_object() || !found.contains("data") || !found["data"].is_object())
    return Problem{"Secret " + options_.ns + "/" + options_.secret + ": data: must be a map"};
  std::map<std::string, std::string> files;
  for (const auto& [name, value] : found["data"].items()) {
    if (!is_ours(name) || !value.is_string()) continue;
    auto text = source::kube::base64_decoded(value.get<std::string>());
    if (!text)
      return Problem{"Secret " + options_.ns + "/" + options_.secret + ": data." + name + ": " +
                     text.error().text};
    files.emplace(name, std::move(*text));
  }
  if (auto bad = make_directory(options_.state_dir)) return bad;
  for (const auto& [name, text] : files) {
    if (auto bad = write_file(options_.state_dir + "/" + name, text, name == kBundle ? 0644 : 0600))
      return bad;
  }
  published_ = std::move(files);
  exists_ = true;
  return std::nullopt;
}

std::optional<Problem> SharedState::create(const std::map<std::string, std::string>& files) {
  const auto reply = options_.call({.method = "POST",
                                    .path = "/api/v1/namespaces/" + options_.ns + "/secrets",
                                    .body = secret(options_.ns, options_.secret, files).dump()});
  if (reply.ok()) return std::nullopt;
  const std::string name = "Secret " + options_.ns + "/" + options_.secret + ": ";
  if (reply.status != kConflict) return Problem{name + reply.describe()};
  for (const auto& [file, text] : files) ::unlink((options_.state_dir + "/" + file).c_str());
  return Problem{name + "another replica made it meanwhile: start again, and take its roots"};
}

// The whole of it: a root that is gone must go.
std::optional<Problem> SharedState::replace(const std::map<std::string, std::string>& files) {
  const auto reply =
      options_.call({.method = "PUT",
                     .path = "/api/v1/namespaces/" + options_.ns + "/secrets/" + options_.secret,
                     .body = secret(options_.ns, options_.secret, files).dump()});
  if (reply.ok()) return std::nullopt;
  return Problem{"Secret " + options_.ns + "/" + options_.secret + ": " + reply.describe()};
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
