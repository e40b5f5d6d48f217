#include "cli/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "sandbox/json.h"
#include "source/kube/access.h"

namespace weft::cli {

namespace {

using sandbox::Json;
using sandbox::str;

constexpr long kNotFound = 404, kConflict = 409, kTooMany = 429;
constexpr std::chrono::milliseconds kCallMost{30000};
constexpr int kTries = 4;
constexpr auto kTryAgain = std::chrono::milliseconds(500);

Parsed<source::kube::Access> find_access(const std::string& given) {
  namespace fs = std::filesystem;
  if (!given.empty()) return source::kube::find_access(given);
  if (const char* named = std::getenv("KUBECONFIG"); named != nullptr && *named != '\0') {
    if (std::string_view(named).find(':') != std::string_view::npos)
      return problem(
          fmt::format("KUBECONFIG=\"{}\" names several files: name one with --kubeconfig", named));
    return source::kube::find_access(named);
  }
  const char* home = std::getenv("HOME");
  const std::string usual = std::string(home != nullptr ? home : "") + "/.kube/config";
  std::error_code error;
  if (fs::exists(usual, error)) return source::kube::find_access(usual);
  if (std::getenv("KUBERNETES_SERVICE_HOST") != nullptr) return source::kube::find_access("");
  return problem(
      fmt::format("which cluster? there is no --kubeconfig, no KUBECONFIG and no {}", usual));
}

// As kubectl has it: the group lower case, nothing for core.
std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string group_of(const std::string& api_version) {
  const auto slash = api_version.find('/');
  return slash == std::string::npos ? "" : api_version.substr(0, slash);
}

std::string base_of(const std::string& api_version) {
  return (api_version.find('/') == std::string::npos ? "/api/" : "/apis/") + api_version;
}

// The fields that others own, for a person.
std::string conflicts(const Json& status) {
  std::string text;
  for (const auto& cause : sandbox::list(status, {"details", "causes"}))
    text += fmt::format("\n  {}: {}", str(cause, {"field"}), str(cause, {"message"}));
  return text;
}

Problem trouble(const std::string& what, const source::kube::Reply& reply) {
  const Json status = Json::parse(reply.body, nullptr, false);
  const bool owned = reply.status == kConflict && str(status, {"reason"}) == "Conflict" &&
                     sandbox::at(status, {"details", "causes"}) != nullptr;
  if (owned)
    return {fmt::format("{}: others have set fields of it (--force-conflicts takes them):{}", what,
                        conflicts(status))};
  return {what + ": " + reply.describe()};
}

}  // namespace

std::string Ref::str() const {
  const auto group = group_of(api_version);
  return lower(kind) + (group.empty() ? "" : "." + group) + "/" + name;
}

Ref ref_of(const Json& object) {
  return {str(object, {"apiVersion"}), str(object, {"kind"}), sandbox::ns_of(object),
          sandbox::name_of(object)};
}

const char* to_string(Applied what) {
  switch (what) {
    case Applied::kCreated:
      return "created";
    case Applied::kChanged:
      return "changed";
    case Applied::kUnchanged:
      return "unchanged";
  }
  return "unknown";
}

Parsed<Cluster> Cluster::open(const std::string& kubeconfig) {
  auto access = find_access(kubeconfig);
  if (!access) return std::unexpected(access.error());
  Cluster out;
  out.server_ = access->server;
  out.client_ = std::make_unique<source::kube::Client>(*access);
  return out;
}

// A server that is busy, or is starting, is asked again.
source::kube::Reply Cluster::call(const source::kube::Call& call) {
  for (int tried = 1;; ++tried) {
    auto reply = client_->call(call);
    const bool busy = reply.status == kTooMany || reply.status == 503;
    if (!busy || tried == kTries) return reply;
    std::this_thread::sleep_for(std::max<std::chrono::milliseconds>(reply.retry_after, kTryAgain));
  }
}

Parsed<std::optional<Cluster::Kind>> Cluster::find_kind(const std::string& api_version,
                                                        const std::string& kind) {
  auto known = kinds_.find(api_version);
  if (known == kinds_.end()) {
    const auto reply = call({.path = base_of(api_version), .limit = kCallMost});
    std::map<std::string, Kind> kinds;
    if (!reply.ok() && reply.status != kNotFound)
      return std::unexpected(trouble(server_ + ": " + api_version, reply));
    const Json list = Json::parse(reply.body, nullptr, false);
    for (const auto& one : sandbox::list(list, {"resources"})) {
      const auto plural = str(one, {"name"});
      if (plural.find('/') == std::string::npos)
        kinds[str(one, {"kind"})] = {plural, sandbox::truth(one, {"namespaced"})};
    }
    known = kinds_.emplace(api_version, std::move(kinds)).first;
  }
  const auto found = known->second.find(kind);
  if (found == known->second.end()) return std::optional<Kind>();
  return std::optional(found->second);
}

Parsed<bool> Cluster::knows(const std::string& api_version, const std::string& kind) {
  const auto found = find_kind(api_version, kind);
  if (!found) return std::unexpected(found.error());
  return found->has_value();
}

Parsed<std::optional<std::string>> Cluster::path_of(const Ref& ref) {
  const auto kind = find_kind(ref.api_version, ref.kind);
  if (!kind) return std::unexpected(kind.error());
  if (!*kind) return std::optional<std::string>();
  const std::string ns = (*kind)->namespaced && !ref.ns.empty() ? "/namespaces/" + ref.ns : "";
  return std::optional(base_of(ref.api_version) + ns + "/" + (*kind)->plural +
                       (ref.name.empty() ? "" : "/" + ref.name));
}

Parsed<Json> Cluster::get_path(const std::string& path) {
  const auto reply = call({.path = path, .limit = kCallMost});
  if (!reply.ok()) return std::unexpected(trouble(server_ + path, reply));
  auto body = Json::parse(reply.body, nullptr, false);
  if (body.is_discarded()) return problem(server_ + path + ": the answer is no JSON");
  return body;
}

Parsed<std::optional<Json>> Cluster::get(const Ref& ref) {
  const auto path = path_of(ref);
  if (!path) return std::unexpected(path.error());
  if (!*path) return std::optional<Json>();
  const auto reply = call({.path = **path, .limit = kCallMost});
  if (reply.status == kNotFound && reply.error.empty()) return std::optional<Json>();
  if (!reply.ok()) return std::unexpected(trouble(ref.str(), reply));
  auto body = Json::parse(reply.body, nullptr, false);
  if (!body.is_object()) return problem(ref.str() + ": the answer is no JSON object");
  return std::optional(std::move(body));
}

Parsed<std::vector<Json>> Cluster::list(const std::string& api_version, const std::string& kind,
                                        const std::string& ns, const std::string& selector) {
  const auto path = path_of({api_version, kind, ns, ""});
  if (!path) return std::unexpected(path.error());
  std::vector<Json> out;
  if (!*path) return out;
  std::string next;
  do {
    const auto reply =
        call({.path = **path + "?limit=500" + (selector.empty() ? "" : "&" + selector) +
                      (next.empty() ? "" : "&continue=" + next),
              .limit = kCallMost});
    if (!reply.ok()) return std::unexpected(trouble(lower(kind) + "s", reply));
    Json body = Json::parse(reply.body, nullptr, false);
    next = str(body, {"metadata", "continue"});
    for (const auto& item : sandbox::list(body, {"items"})) {
      out.push_back(item);
      out.back()["apiVersion"] = api_version;  // a list leaves them out
      out.back()["kind"] = kind;
    }
  } while (!next.empty());
  return out;
}

Parsed<Cluster::Outcome> Cluster::apply(const Json& object, const ApplyOptions& options) {
  const Ref ref = ref_of(object);
  const auto path = path_of(ref);
  if (!path) return std::unexpected(path.error());
  if (!*path)
    return problem(
        fmt::format("{}: the cluster does not know {} {}", ref.str(), ref.api_version, ref.kind));
  const auto before = get(ref);
  if (!before) return std::unexpected(before.error());
  const auto reply =
      call({.method = "PATCH",
            .path = fmt::format("{}?fieldManager={}&fieldValidation=Strict{}{}", **path,
                                kFieldManager, options.force ? "&force=true" : "",
                                options.dry_run ? "&dryRun=All" : ""),
            .body = object.dump(),
            .content_type = "application/apply-patch+yaml",
            .limit = kCallMost});
  if (!reply.ok()) return std::unexpected(trouble(ref.str(), reply));
  Outcome out{Applied::kCreated, Json::parse(reply.body, nullptr, false)};
  if (!*before) return out;
  // A dry run has no version of its own: what counts is what would be another.
  const auto bare = [](Json one) {
    one["metadata"].erase("managedFields");
    one["metadata"].erase("resourceVersion");
    one["metadata"].erase("generation");
    return one;
  };
  out.what = bare(**before) == bare(out.object) ? Applied::kUnchanged : Applied::kChanged;
  return out;
}

Parsed<void> Cluster::merge(const Ref& ref, const Json& change) {
  const auto path = path_of(ref);
  if (!path) return std::unexpected(path.error());
  const auto reply = call({.method = "PATCH",
                           .path = path->value_or("") + "?fieldManager=" + kFieldManager + "-life",
                           .body = change.dump(),
                           .content_type = "application/merge-patch+json",
                           .limit = kCallMost});
  if (!reply.ok()) return std::unexpected(trouble(ref.str(), reply));
  return {};
}

Parsed<bool> Cluster::remove(const Ref& ref) {
  const auto path = path_of(ref);
  if (!path) return std::unexpected(path.error());
  if (!*path) return false;
  const auto reply = call(
      {.method = "DELETE", .path = **path + "?propagationPolicy=Background", .limit = kCallMost});
  if (reply.status == kNotFound && reply.error.empty()) return false;
  if (!reply.ok()) return std::unexpected(trouble(ref.str(), reply));
  return true;
}

Parsed<Json> Cluster::create(const std::string& path, const Json& body) {
  const auto reply =
      call({.method = "POST", .path = path, .body = body.dump(), .limit = kCallMost});
  if (!reply.ok()) return std::unexpected(trouble(server_ + path, reply));
  return Json::parse(reply.body, nullptr, false);
}

}  // namespace weft::cli
