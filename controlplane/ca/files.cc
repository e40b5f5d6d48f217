#include "controlplane/ca/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/fd.h"

namespace weft::controlplane::ca {
namespace {

Problem failed(const std::string& path, const char* what) {
  return {path + ": " + what + ": " + std::strerror(errno)};
}

}  // namespace

Parsed<std::string> read_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::unexpected(failed(path, "open"));
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(failed(path, "read"));
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > (1 << 20)) return problem(path + ": larger than 1 MiB");
  }
}

std::optional<Problem> write_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string temporary = path + ".tmp";
  {
    const Fd fd(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!fd) return failed(temporary, "open");
    ::fchmod(fd.get(), mode);
    std::size_t written = 0;
    while (written < text.size()) {
      const ssize_t got = ::write(fd.get(), text.data() + written, text.size() - written);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failed(temporary, "write");
      written += static_cast<std::size_t>(got);
    }
    if (::fsync(fd.get()) != 0) return failed(temporary, "fsync");
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return failed(path, "rename");
  return std::nullopt;
}

std::optional<Problem> make_directory(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return std::nullopt;
  std::filesystem::create_directories(path, error);
  if (error) return Problem{path + ": " + error.message()};
  ::chmod(path.c_str(), 0755);
  return std::nullopt;
}

}  // namespace weft::controlplane::ca
