#include "cli/crds.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "sandbox/file.h"
#include "sandbox/json.h"
#include "source/object.h"

namespace weft::cli {

namespace {

using sandbox::Json;
namespace fs = std::filesystem;

constexpr std::size_t kFilesMost = 1000;

std::string annotation(const Json& crd, const char* key) {
  const auto all = sandbox::labels(crd, {"metadata", "annotations"});
  const auto found = all.find(key);
  return found == all.end() ? "" : found->second;
}

constexpr const char* kVersion = "gateway.networking.k8s.io/bundle-version";
constexpr const char* kChannel = "gateway.networking.k8s.io/channel";

// A whole file may be larger than a manifest may be: document by document.
std::vector<std::string> documents(const std::string& text) {
  std::vector<std::string> out(1);
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string_view line(text.data() + at, end - at);
    if (line.starts_with("---"))
      out.emplace_back();
    else
      out.back() += line;
    at = end;
  }
  return out;
}

Parsed<void> read_file(const std::string& path, std::vector<Json>& into) {
  const auto text = sandbox::read_file(path);
  if (!text) return std::unexpected(text.error());
  for (const auto& one : documents(*text)) {
    if (!("\n" + one).contains("\nkind: CustomResourceDefinition")) continue;
    const auto parsed = source::parse_manifest(one, path);
    if (!parsed) return std::unexpected(parsed.error());
    for (const auto& object : *parsed) into.push_back(*object->body);
  }
  return {};
}

struct Version {
  std::array<long, 3> numbers{};
  std::string suffix;
};

Version read_version(std::string_view text) {
  Version out;
  if (text.starts_with('v')) text.remove_prefix(1);
  for (auto& number : out.numbers) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) break;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.starts_with('.')) break;
    text.remove_prefix(1);
  }
  out.suffix = text;
  return out;
}

}  // namespace

int compare_versions(const std::string& a, const std::string& b) {
  const Version left = read_version(a), right = read_version(b);
  if (left.numbers != right.numbers) return left.numbers < right.numbers ? -1 : 1;
  if (left.suffix == right.suffix) return 0;
  if (left.suffix.empty() || right.suffix.empty()) return left.suffix.empty() ? 1 : -1;
  return left.suffix < right.suffix ? -1 : 1;
}

Parsed<std::vector<Json>> read_crds(const std::string& path) {
  std::vector<std::string> files;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    const auto options = fs::directory_options::follow_directory_symlink;
    for (auto at = fs::recursive_directory_iterator(path, options, error);
         !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      const auto extension = at->path().extension();
      if ((extension == ".yaml" || extension == ".yml") &&
          at->path().filename() != "kustomization.yaml")
        files.push_back(at->path());
      if (files.size() > kFilesMost)
        return problem(fmt::format("{}: more than {} files", path, kFilesMost));
    }
  } else {
    files.push_back(path);
  }
  if (error) return problem(fmt::format("{}: {}", path, error.message()));
  std::ranges::sort(files);
  std::vector<Json> out;
  for (const auto& file : files) {
    if (auto read = read_file(file, out); !read) return std::unexpected(read.error());
  }
  if (out.empty()) return problem(path + ": there is no CustomResourceDefinition in it");
  std::ranges::sort(out, {}, [](const Json& one) { return sandbox::name_of(one); });
  for (std::size_t i = 1; i < out.size(); ++i) {
    if (sandbox::name_of(out[i - 1]) == sandbox::name_of(out[i]))
      return problem(fmt::format("{}: {} is there twice", path, sandbox::name_of(out[i])));
  }
  return out;
}

std::string crds_beside_us() {
  std::error_code error;
  const auto self = fs::read_symlink("/proc/self/exe", error);
  if (error) return "";
  const auto beside = self.parent_path().parent_path() / "share/weft/crds";
  return fs::is_directory(beside, error) ? beside.string() : "";
}

CrdPlan plan_crd(const Json& ours, const Json& theirs) {
  CrdPlan plan{CrdVerdict::kMissing, annotation(ours, kVersion), ""};
  if (!theirs.is_object()) return plan;
  plan.theirs = annotation(theirs, kVersion);
  const int age =
      plan.ours.empty() || plan.theirs.empty() ? 0 : compare_versions(plan.theirs, plan.ours);
  const auto labels = sandbox::labels(theirs, {"metadata", "labels"});
  const auto manager = labels.find("app.kubernetes.io/managed-by");
  const bool from_us = manager != labels.end() && manager->second == "weftctl";
  if (age > 0)
    plan.verdict = CrdVerdict::kNewer;
  else if (annotation(theirs, kChannel) != annotation(ours, kChannel))
    plan.verdict = CrdVerdict::kChannel;
  else if (from_us)
    plan.verdict = CrdVerdict::kOurs;
  else
    plan.verdict = age < 0 ? CrdVerdict::kOlder : CrdVerdict::kSame;
  return plan;
}

}  // namespace weft::cli
