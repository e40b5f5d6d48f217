#include "agent/cni/chain.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/fd.h"

namespace weft::cni {

namespace {

using Json = nlohmann::ordered_json;  // people compare what was written with what they wrote
namespace fs = std::filesystem;

constexpr const char* kType = "weft-cni";
constexpr unsigned kBinaryMode = 0755;

Parsed<std::string> slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in.good() && !in.eof()) return problem(path + ": cannot be read");
  if (!in.is_open()) return problem(path + ": cannot be read");
  return text;
}

// Beside it, then renamed: a runtime that reads meanwhile sees the old or the new, whole.
Parsed<void> replace(const std::string& path, const std::string& text, unsigned mode) {
  const std::string part = (fs::path(path).parent_path() / ("." + fs::path(path).filename().string() + ".weft")).string();
  Fd out(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
  std::size_t done = 0;
  while (out && done < text.size()) {
    const auto n = ::write(out.get(), text.data() + done, text.size() - done);
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  const bool written = out && done == text.size() && ::fchmod(out.get(), mode) == 0 && ::fsync(out.get()) == 0;
  out = Fd();
  if (written && ::rename(part.c_str(), path.c_str()) == 0) return {};
  auto bad = problem(fmt::format("{}: cannot be written: {}", path, std::strerror(errno)));
  ::unlink(part.c_str());
  return bad;
}

unsigned mode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0644;
}

bool is_ours(const Json& plugin) { return plugin.is_object() && plugin.value("type", Json()) == kType; }

// The parsed list, its plugins checked.
Parsed<Json> read_list(std::string_view conflist) {
  Json root = Json::parse(conflist, nullptr, false);
  if (!root.is_object()) return problem("no JSON object");
  const auto plugins = root.find("plugins");
  if (plugins == root.end() || !plugins->is_array()) return problem("plugins: must be a list");
  return root;
}

std::size_t remove_ours(Json& plugins) {
  const std::size_t before = plugins.size();
  plugins.erase(std::remove_if(plugins.begin(), plugins.end(), is_ours), plugins.end());
  return before - plugins.size();
}

}  // namespace

Parsed<std::string> with_link(std::string_view conflist, const ChainOptions& options) {
  auto root = read_list(conflist);
  if (!root) return std::unexpected(root.error());
  Json& plugins = (*root)["plugins"];
  const Json link = {{"type", kType}, {"socket", options.socket}, {"exemptNamespaces", options.exempt}};
  if (!plugins.empty() && plugins.back() == link && std::count_if(plugins.begin(), plugins.end(), is_ours) == 1) return std::string(conflist);
  remove_ours(plugins);
  if (plugins.empty()) return problem("plugins: there is none to be chained behind");
  plugins.push_back(link);
  return root->dump(2) + "\n";
}

Parsed<std::string> without_link(std::string_view conflist) {
  auto root = read_list(conflist);
  if (!root) return std::unexpected(root.error());
  if (remove_ours((*root)["plugins"]) == 0) return std::string(conflist);
  return root->dump(2) + "\n";
}

Parsed<std::string> Chain::config_file() const {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options_.config_directory, error)) {
    const std::string extension = entry.path().extension();
    const bool counts = extension == ".conflist" || extension == ".conf" || extension == ".json";
    if (counts && !entry.path().filename().string().starts_with('.')) found.push_back(entry.path());
  }
  if (error) return problem(fmt::format("{}: {}", options_.config_directory, error.message()));
  if (found.empty()) return problem(options_.config_directory + ": no CNI configuration yet");
  std::ranges::sort(found);
  if (!found.front().ends_with(".conflist")) return problem(found.front() + ": one plugin alone, not a list (.conflist): nothing can be chained to it");
  return found.front();
}

Parsed<bool> Chain::ensure() const {
  const auto binary = slurp(options_.plugin);
  if (!binary) return std::unexpected(binary.error());
  const std::string installed = options_.bin_directory + "/" + kType;
  bool changed = false;
  if (const auto there = slurp(installed); !there || *there != *binary || mode_of(installed) != kBinaryMode) {
    if (auto written = replace(installed, *binary, kBinaryMode); !written) return std::unexpected(written.error());
    changed = true;
  }
  const auto file = config_file();
  if (!file) return std::unexpected(file.error());
  const auto text = slurp(*file);
  if (!text) return std::unexpected(text.error());
  const auto wanted = with_link(*text, options_);
  if (!wanted) return problem(*file + ": " + wanted.error().text);
  if (*wanted == *text) return changed;
  if (auto written = replace(*file, *wanted, mode_of(*file)); !written) return std::unexpected(written.error());
  return true;
}

Parsed<void> Chain::remove() const {
  if (const auto file = config_file(); file) {
    const auto text = slurp(*file);
    if (!text) return std::unexpected(text.error());
    const auto wanted = without_link(*text);
    if (!wanted) return problem(*file + ": " + wanted.error().text);
    if (*wanted != *text) {
      if (auto written = replace(*file, *wanted, mode_of(*file)); !written) return written;
    }
  }
  ::unlink((options_.bin_directory + "/" + kType).c_str());
  return {};
}

}  // namespace weft::cni
