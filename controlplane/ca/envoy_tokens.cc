#include "controlplane/ca/envoy_tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "controlplane/ca/files.h"

namespace weft::controlplane::ca {
namespace {

constexpr std::string_view kPrefix = "weft-envoy.";
constexpr std::size_t kKeyBytes = 32;
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string to_base64url(std::string_view bytes) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6;) out += kAlphabet[bits >> (count -= 6) & 63];
  }
  if (count > 0) out += kAlphabet[bits << (6 - count) & 63];
  return out;
}

std::optional<std::string> from_base64url(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const auto value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8) & 255);
  }
  if (to_base64url(out) != text) return std::nullopt;  // one text only for one value
  return out;
}

std::string mac(const std::string& key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &size);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace

Parsed<EnvoyTokens> EnvoyTokens::open(const std::string& state_dir) {
  const std::string path = state_dir + "/envoy-token.key";
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 && errno == ENOENT) {
    if (auto bad = make_directory(state_dir)) return std::unexpected(*bad);
    std::string key(kKeyBytes, '\0');
    if (::RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), kKeyBytes) != 1)
      return problem(path + ": no random bytes");
    if (auto bad = write_file(path, key)) return std::unexpected(*bad);
    return EnvoyTokens(std::move(key));
  }
  auto key = read_file(path);
  if (!key) return std::unexpected(key.error());
  if ((status.st_mode & 077) != 0) return problem(path + ": others may read it; chmod 600 it");
  if (key->size() != kKeyBytes) return problem(path + ": must be 32 bytes");
  return EnvoyTokens(std::move(*key));
}

std::string EnvoyTokens::make(const std::string& plan_id) const {
  return std::string(kPrefix) + to_base64url(plan_id) + "." + to_base64url(mac(key_, plan_id));
}

std::optional<std::string> EnvoyTokens::verify(const std::string& token) const {
  if (!token.starts_with(kPrefix)) return std::nullopt;
  const std::string_view rest = std::string_view(token).substr(kPrefix.size());
  const auto dot = rest.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto id = from_base64url(rest.substr(0, dot));
  const auto given = from_base64url(rest.substr(dot + 1));
  if (!id || !given) return std::nullopt;
  const std::string right = mac(key_, *id);
  if (given->size() != right.size() ||
      ::CRYPTO_memcmp(given->data(), right.data(), right.size()) != 0)
    return std::nullopt;
  return *id;
}

}  // namespace weft::controlplane::ca
