#include "controlplane/leader/elector.h"

#include <algorithm>

#include "base/log.h"

namespace weft::controlplane::leader {
namespace {

constexpr std::chrono::milliseconds kNap{50};
constexpr std::chrono::milliseconds kCallMost{3000};

std::string path_of(const ElectorOptions& options, LeaseCall::Kind kind) {
  const std::string all = "/apis/coordination.k8s.io/v1/namespaces/" + options.ns + "/leases";
  return kind == LeaseCall::Kind::kCreate ? all : all + "/" + options.name;
}

source::kube::Call call_of(const ElectorOptions& options, LeaseCall call) {
  const char* method = call.kind == LeaseCall::Kind::kGet      ? "GET"
                       : call.kind == LeaseCall::Kind::kCreate ? "POST"
                                                               : "PUT";
  return {.method = method,
          .path = path_of(options, call.kind),
          .body = std::move(call.body),
          .limit = kCallMost};
}

}  // namespace

Elector::Elector(ElectorOptions options)
    : options_(std::move(options)),
      client_(options_.access),
      election_(options_.ns, options_.name, options_.me),
      thread_([this] { run(); }) {}

Elector::~Elector() {
  stop_ = true;
  thread_.join();
}

std::uint64_t Elector::term() const {
  const auto until = Clock::time_point(Clock::duration(until_.load()));
  return Clock::now() < until ? term_.load() : 0;
}

void Elector::say(const std::string& trouble) {
  if (trouble == trouble_) return;
  if (!trouble.empty()) spdlog::warn("lease {}/{}: {}", options_.ns, options_.name, trouble);
  trouble_ = trouble;
}

void Elector::turn() {
  const auto start = Clock::now();
  const source::kube::Reply reply =
      client_.call(call_of(options_, election_.next(start, WallClock::now())));
  const auto now = Clock::now();
  election_.answer(reply.error.empty() ? reply.status : 0, reply.body, now);
  const bool leads = now < election_.leads_until();
  if (leads && term() == 0) ++term_;  // before it is said that we lead
  until_ = leads ? election_.leads_until().time_since_epoch().count() : 0;
  say(reply.ok() || reply.status == 404 || reply.status == 409 ? "" : reply.describe());
  if (leads != led_) {
    spdlog::info("lease {}/{}: {} as {}", options_.ns, options_.name,
                 leads ? "leading" : "no longer leading", options_.me);
  } else if (!leads && holder_told_ != election_.holder() && !election_.holder().empty()) {
    spdlog::info("lease {}/{}: following {}", options_.ns, options_.name, election_.holder());
  }
  led_ = leads;
  holder_told_ = election_.holder();
}

void Elector::run() {
  while (!stop_) {
    const auto now = Clock::now();
    if (now >= election_.due()) {
      turn();
      continue;
    }
    std::this_thread::sleep_for(std::min<Clock::duration>(kNap, election_.due() - now));
  }
  until_ = 0;
  if (auto call = election_.resign(WallClock::now()))
    (void)client_.call(call_of(options_, std::move(*call)));
}

}  // namespace weft::controlplane::leader
