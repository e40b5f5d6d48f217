#include "ztunnel/xds/cache.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/fd.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace weft::xds {
namespace {

constexpr std::string_view kMagic = "weft-xds-1\n";
using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

Digest digest_of(std::string_view bytes) {
  Digest out;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.data());
  return out;
}

Result<std::string> read_all(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(errno == ENOENT ? Code::kNotFound : Code::kSystem, "open", errno);
  std::string out;
  std::array<char, 65536> block;
  for (;;) {
    const auto got = ::read(file.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Code::kSystem, "read", errno);
    if (got == 0) return out;
    out.append(block.data(), static_cast<std::size_t>(got));
  }
}

Result<void> write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto put = ::write(file, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(Code::kSystem, "write", errno);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

Result<std::vector<Response>> read_cache(const std::string& path) {
  auto text = read_all(path);
  if (!text) return std::unexpected(text.error());
  std::string_view rest = *text;
  Digest digest;
  if (!rest.starts_with(kMagic) || rest.size() < kMagic.size() + digest.size()) return fail(Code::kMalformed, "head");
  std::memcpy(digest.data(), rest.data() + rest.size() - digest.size(), digest.size());
  rest.remove_suffix(digest.size());
  if (digest != digest_of(rest)) return fail(Code::kMalformed, "digest");
  rest.remove_prefix(kMagic.size());
  std::vector<Response> out;
  while (!rest.empty()) {
    std::uint32_t length = 0;
    if (rest.size() < sizeof(length)) return fail(Code::kMalformed, "length");
    std::memcpy(&length, rest.data(), sizeof(length));
    rest.remove_prefix(sizeof(length));
    if (rest.size() < length) return fail(Code::kMalformed, "length");
    if (!out.emplace_back().ParseFromArray(rest.data(), static_cast<int>(length))) return fail(Code::kMalformed, "message");
    rest.remove_prefix(length);
  }
  return out;
}

Result<void> write_cache(const std::string& path, const std::vector<Response>& responses) {
  std::string text(kMagic);
  for (const auto& response : responses) {
    const std::string bytes = response.SerializeAsString();
    const auto length = static_cast<std::uint32_t>(bytes.size());
    text.append(reinterpret_cast<const char*>(&length), sizeof(length));
    text += bytes;
  }
  const Digest digest = digest_of(text);
  text.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  const std::string fresh = path + ".tmp";
  Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return fail(Code::kSystem, "open", errno);
  if (auto written = write_all(file.get(), text); !written) return written;
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail(Code::kSystem, "rename", errno);
  return {};
}

}  // namespace weft::xds
