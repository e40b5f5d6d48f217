#include "ztunnel/proxy/end.h"

namespace weft::proxy {

void finish(ConnectionRecord& record, Clock::time_point now, const Relayed& relayed,
            const Live& live) {
  if (live.denied) return record.finish_denied(now, *live.verdict);
  switch (relayed.end) {
    case RelayEnd::kClean:
      return record.finish_ok(now);
    case RelayEnd::kStopped:
      return record.finish_error(now, Outcome::kOk, relayed.error,
                                 "the pod or its proxy was stopped");
    case RelayEnd::kNear:
    case RelayEnd::kFar:
      return record.finish_error(now, Outcome::kOk, relayed.error);
  }
}

std::string explain(const Refusal& why) {
  std::string text = why.hint;
  if (!why.detail.empty())
    text += (text.empty() ? "" : " (") + why.detail + (text.empty() ? "" : ")");
  return text;
}

hbone::Baggage baggage_of(const mesh::Workload& workload) {
  return {.cluster = workload.cluster_id,
          .ns = workload.ns,
          .workload_type = workload.workload_type,
          .workload_name = workload.workload_name.empty() ? workload.name : workload.workload_name,
          .service_name = workload.canonical_name,
          .service_version = workload.canonical_revision,
          .region = workload.locality.region,
          .zone = workload.locality.zone};
}

}  // namespace weft::proxy
