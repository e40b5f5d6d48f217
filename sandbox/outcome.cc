#include "sandbox/outcome.h"

#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "sandbox/ids.h"
#include "sandbox/json.h"

namespace weft::sandbox {
namespace {

constexpr std::array<std::string_view, 5> kOwnedKinds = {"ServiceAccount", "Secret", "ConfigMap",
                                                         "Service", "Deployment.apps"};

bool is_managed(const Json& object) {
  return str(object, {"metadata", "labels", kManagedBy}) == kManager;
}

bool may_own(const Key& key) {
  return std::find(kOwnedKinds.begin(), kOwnedKinds.end(), key.kind) != kOwnedKinds.end();
}

Json* condition_named(Json& conditions, const std::string& type) {
  for (auto& one : conditions) {
    if (str(one, {"type"}) == type) return &one;
  }
  return nullptr;
}

// Every condition list at any depth: a route's parents and a gateway's listeners have their own.
void keep_times(const Json& before, Json& now_value, const std::string& now) {
  if (now_value.is_array()) {
    for (std::size_t i = 0; i < now_value.size(); ++i) {
      const bool known = before.is_array() && i < before.size();
      keep_times(known ? before[i] : Json(), now_value[i], now);
    }
    return;
  }
  if (!now_value.is_object()) return;
  for (auto& [name, member] : now_value.items()) {
    const Json old = before.is_object() && before.contains(name) ? before[name] : Json();
    if (name != "conditions" || !member.is_array()) {
      keep_times(old, member, now);
      continue;
    }
    for (auto& condition : member) {
      Json list = old.is_array() ? old : Json::array();
      const Json* was = condition_named(list, str(condition, {"type"}));
      const bool same = was != nullptr && str(*was, {"status"}) == str(condition, {"status"});
      condition["lastTransitionTime"] = same ? str(*was, {"lastTransitionTime"}, now) : now;
    }
  }
}

}  // namespace

Json merge_status(const Json& before, const Json& wanted, bool conditions_only,
                  const std::string& now) {
  Json status = before.is_object() ? before : Json::object();
  Json next = wanted;
  if (conditions_only) {
    Json conditions = status.contains("conditions") ? status["conditions"] : Json::array();
    for (const auto& one : list(wanted, {"conditions"})) {
      if (Json* known = condition_named(conditions, str(one, {"type"}))) {
        *known = one;
      } else {
        conditions.push_back(one);
      }
    }
    next = {{"conditions", std::move(conditions)}};
  }
  keep_times(before, next, now);
  for (auto& [name, member] : next.items()) status[name] = member;
  return status;
}

Parsed<std::unique_ptr<Outcome>> Outcome::open(const std::string& directory, Loop& loop,
                                               Parts parts, std::function<void()> changed) {
  auto outcome = std::make_unique<Outcome>(parts);
  outcome->changed_ = std::move(changed);
  auto* self = outcome.get();
  const auto watch = [&](const char* name, std::unique_ptr<source::FilesSource>& source,
                         void (Outcome::*take)(const source::Batch&)) -> Parsed<void> {
    auto opened = source::FilesSource::open({.directory = directory + "/" + name});
    if (!opened) return problem(opened.error().text);
    source = std::move(*opened);
    loop.watch(source->fd(), POLLIN,
               [self, from = source.get(), take](short) { self->poll(*from, take); });
    return {};
  };
  if (auto done = watch("objects", outcome->objects_, &Outcome::objects); !done)
    return problem(done.error().text);
  if (auto done = watch("status", outcome->statuses_, &Outcome::statuses); !done)
    return problem(done.error().text);
  return outcome;
}

void Outcome::poll(source::FilesSource& source, void (Outcome::*take)(const source::Batch&)) {
  const auto batch = source.poll();
  for (const auto& one : source.problems()) {
    if (source.problems_generation() != problems_seen_)
      spdlog::error("from the control plane: {}", one.text);
  }
  problems_seen_ = source.problems_generation();
  if (batch.empty()) return;
  (this->*take)(batch);
  changed_();
}

void Outcome::objects(const source::Batch& batch) {
  for (const auto& key : batch.deletes) {
    const auto* known = parts_.store.find(key);
    if (known != nullptr && is_managed(*known)) parts_.controllers.remove(key, -1);
  }
  for (const auto& object : batch.upserts) {
    const auto key = object->key();
    const auto* known = parts_.store.find(key);
    if (!may_own(key) || !is_managed(*object->body)) {
      spdlog::error("from the control plane: {} is not its to make", key.str());
      continue;
    }
    if (known != nullptr && !is_managed(*known)) {
      spdlog::error("from the control plane: {} exists and belongs to somebody else", key.str());
      continue;
    }
    Json out;
    const auto verb = parts_.admission.admit(*object->body, "", out);
    if (!verb) {
      spdlog::error("from the control plane: {}: {}", key.str(), verb.error().text);
      continue;
    }
    if (*verb == Verb::kUnchanged) continue;
    if (auto put = parts_.store.put(std::move(out)); !put) spdlog::error("{}", put.error().text);
    if (known == nullptr) spdlog::info("from the control plane: {} created", key.str());
  }
}

void Outcome::statuses(const source::Batch& batch) {
  for (const auto& object : batch.upserts) {
    const auto key = object->key();
    const auto* wanted = at(*object->body, {"status"});
    if (wanted == nullptr || parts_.store.find(key) == nullptr) continue;
    const bool is_core = key.kind == "Service" || key.kind == "Pod";
    if (!is_core && key.kind.find('.') == std::string::npos) continue;
    parts_.store.update(key, [&](Json& o) {
      const Json before = o.contains("status") ? o["status"] : Json::object();
      o["status"] = merge_status(before, *wanted, is_core, now_rfc3339());
    });
  }
}

}  // namespace weft::sandbox
