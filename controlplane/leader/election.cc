#include "controlplane/leader/election.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

namespace weft::controlplane::leader {
namespace {

using nlohmann::json;

std::string micro_time(WallClock::time_point time) {
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(micros / 1'000'000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[40], fraction[16];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(fraction, sizeof fraction, ".%06ldZ", static_cast<long>(micros % 1'000'000));
  return std::string(text) + fraction;
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

Election::Election(std::string ns, std::string name, std::string me)
    : ns_(std::move(ns)), name_(std::move(name)), me_(std::move(me)) {}
Election::~Election() = default;

json Election::lease(WallClock::time_point wall, bool taking) const {
  json metadata{{"name", name_}, {"namespace", ns_}};
  if (!version_.empty()) metadata["resourceVersion"] = version_;  // else: create, and only create
  return {{"apiVersion", "coordination.k8s.io/v1"},
          {"kind", "Lease"},
          {"metadata", std::move(metadata)},
          {"spec",
           {{"holderIdentity", me_},
            {"leaseDurationSeconds", kLeaseLife.count()},
            {"acquireTime", taking || acquired_.empty() ? micro_time(wall) : acquired_},
            {"renewTime", micro_time(wall)},
            {"leaseTransitions", transitions_ + (taking ? 1 : 0)}}}};
}

LeaseCall Election::next(Clock::time_point now, WallClock::time_point wall) {
  asked_ = now;
  LeaseCall call;
  if (known_) {
    const bool ours = holder_ == me_;
    const bool free = holder_.empty() || now >= seen_ + kLeaseLife;
    if (version_.empty()) {
      call = {LeaseCall::Kind::kCreate, lease(wall, false).dump()};
    } else if (ours || free) {
      call = {LeaseCall::Kind::kReplace, lease(wall, !ours).dump()};
    }
  }
  asked_kind_ = call.kind;
  return call;
}

void Election::see(const json& lease, Clock::time_point now) {
  const json& metadata = lease.at("metadata");
  const auto spec = lease.find("spec");
  const json& body = spec != lease.end() && spec->is_object() ? *spec : metadata;
  const std::string version = text_of(metadata, "resourceVersion");
  if (version != version_ || version.empty()) seen_ = now;
  version_ = version;
  holder_ = text_of(body, "holderIdentity");
  acquired_ = holder_ == me_ ? text_of(body, "acquireTime") : "";
  const auto transitions = body.find("leaseTransitions");
  transitions_ = transitions != body.end() && transitions->is_number_integer()
                     ? transitions->get<std::int64_t>()
                     : 0;
  known_ = !version.empty();
}

void Election::answer(long status, const std::string& body, Clock::time_point now) {
  const bool wrote = asked_kind_ != LeaseCall::Kind::kGet;
  due_ = now + kLookEvery;
  if (status == 404 && !wrote) {  // no lease, or no namespace for it: creating it tells
    version_.clear();
    holder_.clear();
    known_ = true;
    due_ = now;
    return;
  }
  const json parsed = json::parse(body, nullptr, false);
  const bool good = status >= 200 && status < 300 && parsed.is_object() &&
                    parsed.contains("metadata") && parsed["metadata"].is_object();
  if (!good) {  // a conflict, a refusal, no answer: look again before anything is written
    known_ = false;
    if (status == 409) due_ = now;
    return;
  }
  see(parsed, now);
  if (holder_ != me_) {
    leads_until_ = {};
    const bool free = holder_.empty();
    due_ = free ? now : std::min(now + Clock::duration(kLookEvery), seen_ + kLeaseLife);
    if (now >= seen_ + kLeaseLife) due_ = now;
    return;
  }
  if (wrote) {
    leads_until_ = asked_ + kRenewMost;
    due_ = asked_ + kRenewEvery;
  } else {
    due_ = now;  // ours from a former look (a renewal whose answer was lost): renew it
  }
}

std::optional<LeaseCall> Election::resign(WallClock::time_point wall) const {
  if (holder_ != me_ || version_.empty()) return std::nullopt;
  json body = lease(wall, false);
  body["spec"]["holderIdentity"] = "";
  body["spec"]["leaseDurationSeconds"] = 1;
  return LeaseCall{LeaseCall::Kind::kReplace, body.dump()};
}

}  // namespace weft::controlplane::leader
