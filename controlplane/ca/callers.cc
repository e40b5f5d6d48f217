#include "controlplane/ca/callers.h"

#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <ctime>

#include "controlplane/ca/files.h"

namespace weft::controlplane::ca {
namespace {

std::optional<WallClock::time_point> rfc3339(const std::string& text) {
  tm parts{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || std::string_view(end) != "Z") return std::nullopt;
  return WallClock::from_time_t(::timegm(&parts));
}

}  // namespace

Parsed<std::map<std::string, std::pair<Caller, WallClock::time_point>>> Tokens::parse(
    const std::string& text, const std::string& file) {
  std::map<std::string, std::pair<Caller, WallClock::time_point>> out;
  try {
    const YAML::Node list = YAML::Load(text);
    if (list.IsNull()) return out;
    if (!list.IsSequence()) return problem(file + ": must be a list of {token, node}");
    for (const YAML::Node& entry : list) {
      const std::string where = file + ":" + std::to_string(entry.Mark().line + 1) + ": ";
      if (!entry.IsMap()) return problem(where + "must be {token, node}");
      Caller caller;
      std::string token;
      auto until = WallClock::time_point::max();
      for (const auto& member : entry) {
        const auto key = member.first.as<std::string>();
        const auto value = member.second.as<std::string>();
        if (key == "token") {
          token = value;
        } else if (key == "node") {
          caller.node = value;
        } else if (key == "identity") {
          caller.identity = mesh::Identity::parse(value);
          if (!caller.identity)
            return problem(where +
                           "identity: must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, got " +
                           value);
        } else if (key == "expires") {
          const auto time = rfc3339(value);
          if (!time)
            return problem(where + "expires: must be like 2030-01-31T00:00:00Z, got " + value);
          until = *time;
        } else {
          return problem(where + key + ": unknown field (known: token, node, identity, expires)");
        }
      }
      if (token.empty()) return problem(where + "token: is required");
      if (caller.node.empty()) return problem(where + "node: is required");
      caller.any_node = caller.node == "*";
      if (!out.emplace(token, std::pair(caller, until)).second)
        return problem(where + "token: is there twice");
    }
  } catch (const YAML::Exception& error) {
    // The message may quote the text, and the text is secret.
    return problem(file + ":" + std::to_string(error.mark.line + 1) +
                   ": not a list of {token, node}");
  }
  return out;
}

std::optional<Problem> Tokens::load() {
  std::lock_guard lock(mutex_);
  changed();
  return load_locked();
}

std::optional<Problem> Tokens::load_locked() {
  auto text = read_file(path_);
  if (!text) return trouble_ = text.error();
  auto parsed = parse(*text, path_);
  if (!parsed) return trouble_ = parsed.error();
  tokens_ = std::move(*parsed);
  return trouble_ = std::nullopt;
}

bool Tokens::changed() {
  struct stat status{};
  if (::stat(path_.c_str(), &status) != 0) return false;
  const Stamp now{status.st_ino, static_cast<std::uint64_t>(status.st_size), status.st_ctim.tv_sec,
                  status.st_ctim.tv_nsec};
  if (now == stamp_) return false;
  stamp_ = now;
  return true;
}

std::optional<Caller> Tokens::find(const std::string& token, WallClock::time_point now) {
  std::lock_guard lock(mutex_);
  if (changed()) (void)load_locked();
  const auto found = tokens_.find(token);
  if (found == tokens_.end() || now >= found->second.second) return std::nullopt;
  return found->second.first;
}

std::optional<Problem> Tokens::trouble() const {
  std::lock_guard lock(mutex_);
  return trouble_;
}

void NodeAuthorizer::apply(const std::vector<translate::Placement>& placements) {
  std::lock_guard lock(mutex_);
  auto key = [](const translate::Placement& one) {
    return std::pair(one.node, one.ns + "/" + one.service_account);
  };
  for (const translate::Placement& now : placements) {
    const auto before = pods_.find(now.pod);
    if (before != pods_.end()) {
      const auto count = identities_.find(key(before->second));
      if (--count->second == 0) identities_.erase(count);
      const auto account = accounts_.find(key(before->second).second);
      if (--account->second == 0) accounts_.erase(account);
      pods_.erase(before);
    }
    if (now.node.empty()) continue;
    ++identities_[key(now)];
    ++accounts_[key(now).second];
    pods_[now.pod] = now;
  }
}

std::optional<Problem> NodeAuthorizer::refuse(const Caller& caller,
                                              const mesh::Identity& wanted) const {
  if (wanted.trust_domain != trust_domain_)
    return Problem{wanted.str() + " is not of the trust domain " + trust_domain_};
  if (caller.any_node) return std::nullopt;
  std::lock_guard lock(mutex_);
  if (!caller.pod.empty()) {
    const auto pod = pods_.find(caller.pod);
    const bool runs = pod != pods_.end() && pod->second.uid == caller.pod_uid &&
                      (caller.node.empty() || pod->second.node == caller.node);
    if (!runs) return Problem{"the caller's pod " + caller.pod + " no longer runs"};
  }
  const std::string account = wanted.ns + "/" + wanted.service_account;
  if (caller.identity == wanted) {
    // A certificate proves no more than that a pod had it: a stolen one is not renewed for ever.
    // A token that names an identity is its giver's word.
    if (!caller.node.empty() || accounts_.contains(account)) return std::nullopt;
    return Problem{"no pod with service account " + account + " runs any more"};
  }
  if (caller.node.empty()) return Problem{"the caller speaks for no node"};
  if (identities_.contains({caller.node, account})) return std::nullopt;
  return Problem{"no pod with service account " + account + " runs on node " + caller.node};
}

}  // namespace weft::controlplane::ca
