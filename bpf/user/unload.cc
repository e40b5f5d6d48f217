#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "bpf/user/datapath.h"
#include "bpf/user/pins.h"

namespace weft::bpf {
namespace {

// What makes connections depend on the rest goes first, the maps last.
int rank(std::string_view name) {
  if (name.starts_with("link_connect") || name.starts_with("link_sendmsg")) return 0;
  if (name.starts_with("netns_")) return 1;
  if (name.starts_with("link_")) return 2;
  if (name.starts_with("weft_")) return 3;
  return -1;
}
constexpr int kRanks = 4;

std::unexpected<Problem> failed(const std::string& path, std::string_view why) {
  return problem(fmt::format("unload {}: {}", path, why));
}

}  // namespace

Parsed<void> unload(const std::string& pin_dir) {
  std::vector<std::string> names[kRanks];
  DIR* dir = opendir(pin_dir.c_str());
  if (dir == nullptr) {
    if (errno == ENOENT) return {};
    return failed(pin_dir, std::strerror(errno));
  }
  while (const dirent* entry = readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (const int at = rank(name); at >= 0) names[at].emplace_back(name);
  }
  closedir(dir);
  for (const auto& some : names) {
    for (const std::string& name : some) {
      const std::string path = fmt::format("{}/{}", pin_dir, name);
      if (name.starts_with("weft_")) {
        if (unlink(path.c_str()) != 0 && errno != ENOENT) return failed(path, std::strerror(errno));
      } else if (auto dropped = drop_link(path); !dropped) {
        return failed(path, describe(dropped.error()));
      }
    }
  }
  if (rmdir(pin_dir.c_str()) != 0 && errno != ENOENT)
    return failed(pin_dir, std::strerror(errno));  // something that is not ours is in it
  return {};
}

}  // namespace weft::bpf
