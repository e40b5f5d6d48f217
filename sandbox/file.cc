#include "sandbox/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/fd.h"

namespace weft::sandbox {

Parsed<std::string> read_file(const std::string& path) {
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return problem(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  std::string text;
  char chunk[16384];
  for (;;) {
    const auto n = read(file.get(), chunk, sizeof chunk);
    if (n < 0) return problem(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
    if (n == 0) return text;
    text.append(chunk, static_cast<std::size_t>(n));
  }
}

Parsed<void> write_file(const std::string& path, std::string_view text, unsigned mode,
                        std::int64_t uid, std::int64_t gid) {
  const auto bad = [&] {
    return problem(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  };
  const auto tmp = path + ".tmp";
  unlink(tmp.c_str());
  Fd file(open(tmp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return bad();
  for (std::size_t at = 0; at < text.size();) {
    const auto n = write(file.get(), text.data() + at, text.size() - at);
    if (n < 0) return bad();
    at += static_cast<std::size_t>(n);
  }
  if ((uid >= 0 || gid >= 0) &&
      fchown(file.get(), static_cast<uid_t>(uid), static_cast<gid_t>(gid)) != 0)
    return bad();
  if (fchmod(file.get(), mode) != 0) return bad();
  if (rename(tmp.c_str(), path.c_str()) != 0) return bad();
  return {};
}

}  // namespace weft::sandbox
