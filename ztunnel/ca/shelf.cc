#include "ztunnel/ca/shelf.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/fd.h"

namespace weft::ca {
namespace {

constexpr std::string_view kChainLine = "# chain\n";
constexpr std::string_view kRootsLine = "# roots\n";
constexpr std::string_view kSuffix = ".pem";

std::string path_of(const std::string& directory, const mesh::Identity& identity) {
  const std::string text = identity.str();
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string out = directory + "/";
  for (const auto byte : digest) out += fmt::format("{:02x}", byte);
  return out.append(kSuffix);
}

}  // namespace

std::vector<Stored> read_shelf(const std::string& directory) {
  std::vector<Stored> out;
  std::error_code ignored;
  for (const auto& file : std::filesystem::directory_iterator(directory, ignored)) {
    if (file.path().extension() != kSuffix) continue;
    std::ostringstream content;
    content << std::ifstream(file.path()).rdbuf();
    const std::string text = content.str();
    const auto chain = text.find(kChainLine);
    const auto roots = text.find(kRootsLine);
    if (chain == std::string::npos || roots == std::string::npos || roots < chain) continue;
    out.push_back({text.substr(0, chain), text.substr(chain + kChainLine.size(), roots - chain - kChainLine.size()),
                   text.substr(roots + kRootsLine.size())});
  }
  return out;
}

Result<void> write_to_shelf(const std::string& directory, const mesh::Identity& identity, const Stored& stored) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return fail(Code::kSystem, "mkdir", errno);
  const std::string path = path_of(directory, identity);
  const std::string fresh = path + ".tmp";
  const std::string text = fmt::format("{}{}{}{}{}", stored.key_pem, kChainLine, stored.chain_pem, kRootsLine, stored.roots_pem);
  Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return fail(Code::kSystem, "open", errno);
  const auto put = ::write(file.get(), text.data(), text.size());
  if (put != static_cast<ssize_t>(text.size())) return fail(Code::kSystem, "write", errno);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail(Code::kSystem, "rename", errno);
  return {};
}

void remove_from_shelf(const std::string& directory, const mesh::Identity& identity) {
  ::unlink(path_of(directory, identity).c_str());
}

}  // namespace weft::ca
