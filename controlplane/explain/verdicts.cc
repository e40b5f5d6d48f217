#include "controlplane/explain/verdicts.h"

#include <algorithm>

#include "controlplane/translate/by_name.h"
#include "controlplane/translate/mtls.h"

namespace weft::controlplane::explain {
namespace {

using nlohmann::json;

constexpr std::string_view kRequests = "weft_requests_";
constexpr std::string_view kPeer = "converted_peer_authentication_";

struct Key {
  std::string ns, name;
};
Key split(const std::string& key) {
  const auto slash = key.find('/');
  return {key.substr(0, slash), slash == std::string::npos ? "" : key.substr(slash + 1)};
}

const model::AuthzPolicy* authorization(const translate::Facts& facts, const std::string& key) {
  const Key parts = split(key);
  return translate::find(facts.authz, parts.ns, parts.name);
}

std::string list(const translate::Facts& facts, const std::vector<std::string>& keys) {
  std::string out;
  for (const std::string& one : keys) out += (out.empty() ? "" : ", ") + policy_object(facts, one);
  return out;
}

// The rule of the object that holds, from 1; 0 when it cannot be told: rules that L4 cannot judge
// are not in an ALLOW.
std::size_t rule_of(const translate::Facts& facts, const mesh::Policy& policy,
                    const mesh::ConnectionAttributes& connection) {
  const model::AuthzPolicy* object = authorization(facts, policy.key());
  if (object == nullptr ||
      (policy.action == mesh::PolicyAction::kAllow && !object->l7_fields.empty()))
    return 0;
  mesh::Policy one = policy;
  for (std::size_t i = 0; i < policy.rules.size() && i < object->rules.size(); ++i) {
    one.rules = {policy.rules[i]};
    if (mesh::matches(one, connection)) return i + 1;
  }
  return 0;
}

// "spec.rules[0].to[0].operation.methods of AuthorizationPolicy a/b needs a waypoint": why a node
// is stricter than what was written.
std::string only_l7(const translate::Facts& facts, const std::vector<std::string>& keys) {
  std::string out;
  for (const std::string& key : keys) {
    const model::AuthzPolicy* object = authorization(facts, key);
    if (object == nullptr || object->l7_fields.empty()) continue;
    out += (out.empty() ? "" : "; ") + object->l7_fields.front() + " of " +
           policy_object(facts, key) + " can only be judged by a waypoint, so it fails closed here";
  }
  return out;
}

std::string rule_text(std::size_t rule) { return rule == 0 ? "" : " rule " + std::to_string(rule); }

}  // namespace

std::string object_text(const source::ObjectKey& key) {
  return key.kind.substr(0, key.kind.find('.')) + " " + key.ns + "/" + key.name;
}

std::string policy_object(const translate::Facts& facts, const std::string& key) {
  const Key parts = split(key);
  if (parts.name.starts_with(kRequests))
    return "RequestAuthentication of Service " + parts.ns + "/" +
           parts.name.substr(kRequests.size());
  if (parts.name.starts_with(kPeer))
    return "PeerAuthentication " + parts.ns + "/" + parts.name.substr(kPeer.size());
  if (parts.name == translate::kStaticStrictName) return "PeerAuthentication (mode STRICT)";
  return "AuthorizationPolicy " + key;
}

json node_verdict(const translate::Facts& facts, const mesh::Snapshot& snapshot,
                  const mesh::Workload& destination, const mesh::ConnectionAttributes& connection) {
  std::string unknown;
  const auto policies = snapshot.policies_for(destination, unknown);
  const mesh::Verdict verdict = mesh::authorize(policies, unknown, connection);
  json out{{"at", "ztunnel of " + destination.node},
           {"allowed", verdict.allowed},
           {"object", nullptr},
           {"rule", nullptr}};
  const auto policy = std::find_if(policies.begin(), policies.end(), [&](const mesh::Policy* one) {
    return one->key() == verdict.policy;
  });
  const std::size_t rule = policy == policies.end() ? 0 : rule_of(facts, **policy, connection);
  if (!verdict.policy.empty() && verdict.reason != mesh::Verdict::Reason::kNotAllowed) {
    out["object"] = policy_object(facts, verdict.policy);
    if (rule != 0) out["rule"] = rule;
  }
  std::string text, hint;
  switch (verdict.reason) {
    case mesh::Verdict::Reason::kNoPolicy:
      text = "allowed: no policy applies";
      break;
    case mesh::Verdict::Reason::kAllowedByPolicy:
      text = "ALLOW by " + policy_object(facts, verdict.policy) + rule_text(rule);
      break;
    case mesh::Verdict::Reason::kDeniedByPolicy:
      text = "DENY by " + policy_object(facts, verdict.policy) + rule_text(rule);
      hint = only_l7(facts, {verdict.policy});
      break;
    case mesh::Verdict::Reason::kPolicyUnknown:
      text = "denied: policy " + verdict.policy + " is not known yet";
      break;
    case mesh::Verdict::Reason::kNotAllowed:
      text = "denied: no ALLOW matched of: " + list(facts, verdict.considered);
      out["considered"] = verdict.considered;
      hint = only_l7(facts, verdict.considered);
      break;
  }
  out["text"] = text + (hint.empty() ? "" : " (" + hint + ")");
  return out;
}

json waypoint_verdict(const translate::Facts& facts, const std::string& waypoint,
                      const Judgement& judgement) {
  json out{{"at", "waypoint " + waypoint},
           {"allowed", judgement.allowed},
           {"object", nullptr},
           {"rule", nullptr}};
  if (!judgement.policy.empty()) out["object"] = policy_object(facts, judgement.policy);
  if (judgement.rule != 0) out["rule"] = judgement.rule;
  const std::string by = policy_object(facts, judgement.policy) + rule_text(judgement.rule);
  switch (judgement.why) {
    case Judgement::Why::kNoPolicy:
      out["text"] = "allowed: no policy applies";
      break;
    case Judgement::Why::kAllowed:
      out["text"] = "ALLOW by " + by;
      break;
    case Judgement::Why::kDenied:
      out["text"] = "DENY by " + by;
      break;
    case Judgement::Why::kNotAllowed:
      out["text"] = "denied: no ALLOW matched of: " + list(facts, judgement.considered);
      out["considered"] = judgement.considered;
      break;
    case Judgement::Why::kClosed:
      out["text"] = "denied: a policy cannot be enforced as it is written" +
                    (judgement.policy.empty() ? "" : " (" + by + ")");
      break;
  }
  return out;
}

}  // namespace weft::controlplane::explain
