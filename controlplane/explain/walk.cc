#include "controlplane/explain/walk.h"

#include <algorithm>
#include <optional>

#include "controlplane/explain/verdicts.h"
#include "controlplane/frontends/core/workloads.h"
#include "controlplane/translate/by_name.h"
#include "controlplane/translate/l7/status.h"

namespace weft::controlplane::explain {
namespace {

using mesh::WorkloadPtr;
using nlohmann::json;

std::uint64_t first(std::uint64_t) { return 0; }

}  // namespace

std::string name_of(const mesh::Workload& one) { return one.ns + "/" + one.name; }

bool is_meshed(const mesh::Workload& one) {
  return one.tunnel_protocol == mesh::TunnelProtocol::kHbone;
}

IpAddress address_like(const mesh::Workload& one, const IpAddress& other) {
  for (const IpAddress& ip : one.addresses) {
    if (ip.is_v4() == other.is_v4()) return ip;
  }
  return one.addresses.front();
}

Parsed<json> Walk::run() {
  const Place place{facts_, snapshot_};
  auto source = find_source(place, query_.source, query_.ns);
  if (!source) return std::unexpected(source.error());
  source_ = *source;
  auto to = find_destination(place, query_.destination, *source_);
  if (!to) return std::unexpected(to.error());
  to_ = std::move(*to);
  start();
  if (is_meshed(*source_)) {
    captured();
  } else {
    plain();
  }
  about_l7();
  return std::move(out_);
}

void Walk::start() {
  out_ = {{"source", {{"pod", name_of(*source_)}, {"node", source_->node}}},
          {"destination", {{"name", query_.destination}, {"address", to_.address.str()}}},
          {"path", json::array()},
          {"transport", nullptr},
          {"waypoint", nullptr},
          {"route", nullptr},
          {"policy", json::array()},
          {"endpoints", json::array()},
          {"verdict", "allowed"},
          {"status", nullptr},
          {"text", ""},
          {"notes", json::array()}};
  out_["source"]["identity"] = is_meshed(*source_) ? json(source_->identity().str()) : json();
  if (to_.service) out_["destination"]["service"] = to_.service->ns + "/" + to_.service->name;
  if (to_.workload) out_["destination"]["pod"] = name_of(*to_.workload);
  const source::Pod* pod = translate::find(facts_.pods, source_->ns, source_->name);
  if (pod == nullptr) return;
  const mesh::Enrollment why = core::enrollment(*pod, facts_.ns(pod->ns));
  say(std::string(why.enrolled ? "captured" : "not captured") + ": " + mesh::to_string(why.reason) +
      (why.key.empty() ? "" : " (" + why.key + ")"));
}

void Walk::end(const char* verdict, const std::string& text, int status) {
  out_["verdict"] = verdict;
  out_["text"] = text;
  out_["status"] = status == 0 ? json() : json(status);
}

void Walk::transport(const char* kind, const std::string& text) {
  out_["transport"] = kind;
  say(text);
}

IpAddress Walk::source_ip() const { return address_like(*source_, to_.address.ip); }

Walk::Tally Walk::arrive(const std::vector<Arrival>& arrivals, const mesh::Workload* as,
                         const IpAddress& from) {
  Tally tally;
  for (const Arrival& one : arrivals) {
    json entry{{"pod", name_of(*one.pod)},
               {"address", one.address.str()},
               {"node", one.pod->node},
               {"transport", one.tunnel ? "hbone" : "plaintext"},
               {"allowed", true}};
    if (is_meshed(*one.pod)) {
      const auto identity =
          one.tunnel && as != nullptr ? std::optional(as->identity()) : std::nullopt;
      json verdict = node_verdict(facts_, snapshot_, *one.pod,
                                  {.source_ip = from,
                                   .destination_ip = one.address.ip,
                                   .destination_port = one.address.port,
                                   .source = identity ? &*identity : nullptr});
      entry["allowed"] = verdict["allowed"];
      auto& list = out_["policy"];
      if (std::find(list.begin(), list.end(), verdict) == list.end())
        list.push_back(std::move(verdict));
    }
    ++tally.all;
    tally.allowed += entry["allowed"].get<bool>() ? 1 : 0;
    out_["endpoints"].push_back(std::move(entry));
  }
  return tally;
}

// How it ends when nodes alone judge.
void Walk::end_of(const Tally& tally, int denied_status) {
  if (tally.allowed == tally.all) return end("allowed", "the connection reaches the application");
  const std::string at =
      denied_status == 0 ? "the connection is closed by ztunnel" : "ztunnel refuses the waypoint";
  if (tally.allowed == 0) return end("denied", at + ": " + denial(), denied_status);
  end("partly denied", std::to_string(tally.all - tally.allowed) + " of " +
                           std::to_string(tally.all) + " pods refuse it: " + denial());
}

std::string Walk::denial() const {
  for (const json& one : out_["policy"]) {
    if (!one["allowed"].get<bool>()) return one["text"].get<std::string>();
  }
  return "";
}

// The source's node has the connection.
void Walk::captured() {
  std::vector<Arrival> arrivals;
  std::vector<std::string> tried;
  while (arrivals.size() < kEndpointsMax) {
    auto route = mesh::resolve(snapshot_, *source_, to_.address, first, tried);
    if (!route && arrivals.empty()) return unreachable(route.error());
    if (!route) break;
    if (route->via_waypoint) return via_waypoint(*route);
    if (!route->workload) return passthrough();
    tried.push_back(route->workload->uid);
    arrivals.push_back({route->workload, route->address, route->kind == mesh::Route::Kind::kHbone});
    if (!route->service) break;
  }
  const bool tunnel =
      std::any_of(arrivals.begin(), arrivals.end(), [](const Arrival& one) { return one.tunnel; });
  const std::string ztunnel = "ztunnel of " + source_->node;
  if (tunnel) {
    transport("hbone", ztunnel + " opens HBONE (mTLS as " + source_->identity().str() +
                           ") to the pod's node");
  } else {
    transport("plaintext", ztunnel + " connects in plain text: the destination is not in the mesh");
  }
  end_of(arrive(arrivals, &*source_, source_ip()));
}

void Walk::unreachable(const Error& error) {
  say("ztunnel of " + source_->node + " finds nowhere to go: " + error.where);
  end("unreachable", std::string("the connection is refused: ") + error.where);
}

void Walk::passthrough() {
  transport("passthrough", "ztunnel of " + source_->node + " connects to " + to_.address.str() +
                               " in plain text: no pod or Service has this address");
  end("allowed",
      "passed through: nothing of the mesh is asked at an address that it does not know");
}

// Nobody captures it: the cluster's own way.
void Walk::plain() {
  std::vector<Arrival> arrivals;
  std::vector<std::string> tried;
  if (to_.workload) arrivals.push_back({to_.workload, to_.address, false});
  while (!to_.workload && to_.service && arrivals.size() < kEndpointsMax) {
    const auto endpoint = mesh::choose_endpoint(snapshot_, *to_.service, to_.address.port, *source_,
                                                to_.address.ip.is_v6(), tried, first);
    if (!endpoint) break;
    tried.push_back(endpoint->workload->uid);
    arrivals.push_back({endpoint->workload, endpoint->address, false});
  }
  if (arrivals.empty() && to_.service) {
    say("no pod behind the Service is ready");
    return end("unreachable", "the connection is refused: no pod behind the Service is ready");
  }
  if (arrivals.empty()) {
    transport("passthrough", "straight to " + to_.address.str() + ", as without a mesh");
    return end("allowed", "the mesh has no part in it");
  }
  const bool meshed = std::any_of(arrivals.begin(), arrivals.end(),
                                  [](const Arrival& one) { return is_meshed(*one.pod); });
  transport("plaintext", meshed ? "plain text to the pod, whose node judges it without an identity"
                                : "plain text to the pod, as without a mesh");
  end_of(arrive(arrivals, nullptr, source_ip()));
}

// What routes and L7 policies have to do with it, where no waypoint was passed.
void Walk::about_l7() {
  if (out_["transport"] == "waypoint") return;
  if (to_.service) {
    const std::string& host = to_.service->hostname;
    const auto state =
        translate::l7::enforcement_of({facts_, world_.objects(), world_.planner()}, host);
    if (!state) return;
    using State = translate::l7::Enforcement::State;
    if (state->state == State::kEnforced && !is_meshed(*source_)) {
      note("the source is not in the mesh, so it does not pass " + state->text +
           ": routes do not hold for it, and rules that need L7 fail closed");
    } else if (state->state == State::kEnforced) {
      note("port " + std::to_string(to_.address.port) + " is no HTTP, so it does not pass " +
           state->text);
    } else {
      note(state->text);
    }
    return;
  }
  if (!to_.workload) return;
  for (const auto& [key, ports] : to_.workload->services) {
    const std::string host = key.substr(key.find('/') + 1);
    const auto state =
        translate::l7::enforcement_of({facts_, world_.objects(), world_.planner()}, host);
    if (!state) continue;
    note("a pod's own address does not pass the waypoint of Service " +
         host.substr(0, host.find('.')) +
         ": routes do not hold there, and rules that need L7 fail closed");
    return;
  }
}

}  // namespace weft::controlplane::explain
