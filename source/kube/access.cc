#include "source/kube/access.h"

#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace weft::source::kube {
namespace {

constexpr std::size_t kFileMax = 1 << 20;
constexpr const char* kPodDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

Parsed<std::string> slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  if (!in || !(out << in.rdbuf())) return problem(path + ": cannot be read");
  std::string text = std::move(out).str();
  if (text.size() > kFileMax) return problem(path + ": larger than 1 MiB");
  return text;
}

std::string trimmed(std::string text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

std::string scalar(const YAML::Node& map, const char* key) {
  const YAML::Node value = map[key];
  return value && value.IsScalar() ? value.Scalar() : "";
}

// The entry of `list` named `name`: its member `what`.
Parsed<YAML::Node> named(const YAML::Node& list, const std::string& name, const char* what,
                         const std::string& where) {
  if (list && list.IsSequence()) {
    for (const YAML::Node& one : list) {
      if (one.IsMap() && scalar(one, "name") == name && one[what] && one[what].IsMap())
        return one[what];
    }
  }
  return problem(where + ": no " + what + " named \"" + name + "\"");
}

// `key`-data as base64, or the file that `key` names (relative to the kubeconfig).
std::optional<Problem> pem(const YAML::Node& map, const std::string& key, const std::string& file,
                           std::string& out) {
  if (const std::string data = scalar(map, (key + "-data").c_str()); !data.empty()) {
    auto decoded = base64_decoded(data);
    if (!decoded) return Problem{file + ": " + key + "-data: " + decoded.error().text};
    out = std::move(*decoded);
    return std::nullopt;
  }
  const std::string path = scalar(map, key.c_str());
  if (path.empty()) return std::nullopt;
  auto text = slurp(std::filesystem::path(file).parent_path() / path);
  if (!text) return Problem{file + ": " + key + ": " + text.error().text};
  out = std::move(*text);
  return std::nullopt;
}

Parsed<Access> read_context(const YAML::Node& root, const std::string& file) {
  const std::string current = scalar(root, "current-context");
  const auto context = named(root["contexts"], current, "context", file + ": current-context");
  if (!context) return std::unexpected(context.error());
  const auto cluster =
      named(root["clusters"], scalar(*context, "cluster"), "cluster", file + ": context.cluster");
  if (!cluster) return std::unexpected(cluster.error());
  const auto user = named(root["users"], scalar(*context, "user"), "user", file + ": context.user");
  if (!user) return std::unexpected(user.error());
  Access out;
  out.server = scalar(*cluster, "server");
  while (out.server.ends_with('/')) out.server.pop_back();
  if (!out.server.starts_with("https://"))
    return problem(file + ": cluster.server: must be https://…, got \"" + out.server + "\"");
  if (scalar(*cluster, "insecure-skip-tls-verify") == "true")
    return problem(file + ": cluster.insecure-skip-tls-verify: not supported, give the CA");
  for (const char* plugin : {"exec", "auth-provider"}) {
    if ((*user)[plugin])
      return problem(file + ": user." + plugin + ": not supported, give a token or a certificate");
  }
  out.tls_server_name = scalar(*cluster, "tls-server-name");
  out.token = scalar(*user, "token");
  out.token_file = scalar(*user, "tokenFile");
  if (auto bad = pem(*cluster, "certificate-authority", file, out.ca_pem))
    return std::unexpected(*bad);
  if (auto bad = pem(*user, "client-certificate", file, out.certificate_pem))
    return std::unexpected(*bad);
  if (auto bad = pem(*user, "client-key", file, out.key_pem)) return std::unexpected(*bad);
  if (out.certificate_pem.empty() != out.key_pem.empty())
    return problem(file + ": user: client-certificate and client-key come together");
  return out;
}

Parsed<Access> in_pod() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr) {
    return problem("not in a pod (KUBERNETES_SERVICE_HOST is not set): name a kubeconfig");
  }
  const std::string name = std::string(host).find(':') == std::string::npos
                               ? std::string(host)
                               : "[" + std::string(host) + "]";
  Access out;
  out.server = "https://" + name + ":" + port;
  auto ca = slurp(std::string(kPodDirectory) + "/ca.crt");
  if (!ca) return std::unexpected(ca.error());
  out.ca_pem = std::move(*ca);
  out.token_file = std::string(kPodDirectory) + "/token";
  return out;
}

}  // namespace

std::string Access::bearer() const {
  if (token_file.empty()) return token;
  auto text = slurp(token_file);
  return text ? trimmed(std::move(*text)) : token;
}

Parsed<std::string> base64_decoded(std::string_view text) {
  if (text.size() % 4 != 0) return problem("not base64: its length is no multiple of 4");
  std::string out;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::size_t value = kAlphabet.find(text[i]);
    const bool padding =
        text[i] == '=' && (i + 1 == text.size() || (i + 2 == text.size() && text.back() == '='));
    if (padding) value = 0;
    if (value == std::string_view::npos) return problem("not base64");
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if (i % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) out += static_cast<char>(bits >> shift & 0xff);
    bits = 0;
  }
  if (text.ends_with("==")) out.pop_back();
  if (text.ends_with("=")) out.pop_back();
  return out;
}

Parsed<Access> parse_kubeconfig(const std::string& text, const std::string& file) {
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) return problem(file + ": document: must be a kubeconfig");
    return read_context(root, file);
  } catch (const YAML::Exception& error) {  // its message may quote the text, and that is secret
    return problem(file + ":" + std::to_string(error.mark.line + 1) + ": not YAML");
  }
}

Parsed<Access> find_access(const std::string& kubeconfig) {
  if (kubeconfig.empty()) return in_pod();
  const auto text = slurp(kubeconfig);
  if (!text) return std::unexpected(text.error());
  return parse_kubeconfig(*text, kubeconfig);
}

}  // namespace weft::source::kube
