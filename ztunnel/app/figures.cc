#include "ztunnel/app/figures.h"

#include <algorithm>

#include "ztunnel/state/decode.h"
#include "ztunnel/tls/credentials.h"

namespace weft::app {
namespace {

double as_double(const std::atomic<std::uint64_t>& value) {
  return static_cast<double>(value.load(std::memory_order_relaxed));
}

void collect_xds(const xds::ClientCounters& xds, admin::Families& out) {
  const std::string urls[] = {std::string(state::kAddressType), std::string(state::kAuthorizationType)};
  for (std::size_t i = 0; i < xds.kReasons.size(); ++i) {
    out.counter("istio_xds_connection_terminations_total", "The total number of completed connections to xds server.",
                as_double(xds.terminations[i]), {{"reason", xds.kReasons[i]}});
  }
  for (std::size_t i = 0; i < 2; ++i) {
    out.counter("istio_xds_message_total", "Total number of messages received.", as_double(xds.messages[i]), {{"url", urls[i]}});
  }
  for (std::size_t i = 0; i < 2; ++i) {
    out.counter("istio_xds_message_bytes_total", "Total number of bytes received.", as_double(xds.bytes[i]), {{"url", urls[i]}});
  }
  out.counter("weft_xds_resources_total", "Resources received, by what was done with them.", as_double(xds.accepted),
              {{"result", "accepted"}});
  out.counter("weft_xds_resources_total", "", as_double(xds.rejected), {{"result", "rejected"}});
  out.gauge("weft_xds_connected", "1 while a stream to the control plane answers.", xds.connected ? 1 : 0);
}

void collect_pods(const pods::AgentLinkCounters& pods, admin::Families& out) {
  // Istio's workload_manager_{active,pending}_proxy_count: promtool refuses gauges named _count.
  out.gauge("weft_workload_proxies", "Pods of this node, by whether they are served.", as_double(pods.active), {{"state", "active"}});
  out.gauge("weft_workload_proxies", "", as_double(pods.pending), {{"state", "pending"}});
  out.counter("workload_manager_proxies_started_total", "The total number of proxies that were started.", as_double(pods.proxies_started));
  out.counter("workload_manager_proxies_stopped_total", "The total number of proxies that were stopped.", as_double(pods.proxies_stopped));
  out.counter("weft_agent_link_connects_total", "Connections made to the agent.", as_double(pods.connects));
  out.counter("weft_agent_link_malformed_total", "Messages of the agent that made no sense.", as_double(pods.messages_malformed));
}

void collect_certificates(const ca::Keeper& keeper, admin::Families& out) {
  const auto& counters = keeper.counters();
  out.counter("weft_certificate_requests_total", "Certificate requests, by result.", as_double(counters.issued), {{"result", "issued"}});
  out.counter("weft_certificate_requests_total", "", as_double(counters.failed), {{"result", "failed"}});
  const auto now = WallClock::now();
  double valid = 0;
  double earliest = 0;
  for (const auto& each : keeper.list()) {
    if (!each.credentials || each.credentials->not_after() <= now) continue;
    ++valid;
    const auto at = std::chrono::duration<double>(each.credentials->not_after().time_since_epoch()).count();
    earliest = earliest == 0 ? at : std::min(earliest, at);
  }
  out.gauge("weft_certificates_valid", "Identities of this node that hold a valid certificate.", valid);
  if (valid > 0) out.gauge("weft_certificate_earliest_expiry_timestamp_seconds", "When the first of them expires.", earliest);
}

std::vector<admin::DumpedCertificate> dump_chain(const std::vector<tls::CertificateSummary>& in) {
  std::vector<admin::DumpedCertificate> out;
  for (const auto& each : in) out.push_back({each.pem, each.serial, each.not_before, each.not_after});
  return out;
}

}  // namespace

void collect_figures(const Figures& figures, admin::Families& out) {
  collect_xds(figures.xds, out);
  collect_pods(figures.pods, out);
  collect_certificates(figures.keeper, out);
  out.gauge("weft_config_generation", "Generation of the configuration a stage works by.", static_cast<double>(figures.generation),
            {{"stage", "ztunnel"}});
  const auto& world = figures.snapshot.world();
  out.gauge("weft_config_objects", "Objects this node knows.", static_cast<double>(world.workloads.size()), {{"kind", "workload"}});
  out.gauge("weft_config_objects", "", static_cast<double>(world.services.size()), {{"kind", "service"}});
  out.gauge("weft_config_objects", "", static_cast<double>(world.policies.size()), {{"kind", "policy"}});
}

admin::DumpedIdentity dump_certificate(const ca::CertificateState& certificate) {
  admin::DumpedIdentity out;
  out.identity = certificate.identity.str();
  if (certificate.credentials) {
    out.state = "Available";
    out.chain = dump_chain(certificate.credentials->chain());
    out.roots = dump_chain(certificate.credentials->roots());
  } else {
    out.state = certificate.last_error.empty() ? "Initializing" : "Unavailable: " + certificate.last_error;
  }
  return out;
}

}  // namespace weft::app
