// The decisions under any input keep what the datapath rests on: no loop, no leak, no surprise in
// the counters.
#include <weft/decide.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

struct Input {
  weft_pod pod;
  std::uint8_t local[16];
  std::uint8_t remote[16];
  std::uint32_t protocol;
  std::uint32_t socket_flags;
  std::uint16_t port;
  std::uint8_t bits;
};

void require(bool holds) {
  if (!holds) std::abort();
}

void outbound(const Input& in) {
  const bool known = (in.bits & 1) != 0;
  const weft_outbound q{.pod = known ? &in.pod : nullptr,
                        .ip = in.remote,
                        .protocol = in.protocol,
                        .socket_flags = in.socket_flags,
                        .to_dns = static_cast<__u32>((in.bits >> 1) & 1)};
  const weft_decision d = weft_decide_outbound(&q);
  require(d.counter < WEFT_COUNTER_MAX);
  require(d.act == WEFT_PASS || d.act == WEFT_CAPTURE || d.act == WEFT_CAPTURE_DNS);
  if (d.act != WEFT_PASS) {
    require(known);
    require((in.socket_flags & WEFT_SOCKET_OWNED) == 0);  // or ztunnel would meet itself
    require(!weft_ip_is_loopback(in.remote));
    return;
  }
  // What leaves an enrolled pod's application by TCP without ztunnel stays in the pod.
  if (known && (in.pod.flags & WEFT_POD_CAPTURE_OUT) && in.protocol == WEFT_PROTOCOL_TCP &&
      !(in.socket_flags & WEFT_SOCKET_OWNED)) {
    require(weft_ip_is_loopback(in.remote) || weft_ip_is_any(in.remote) ||
            weft_ip_equal(in.remote, in.pod.ip4) || weft_ip_equal(in.remote, in.pod.ip6));
  }
}

void inbound(const Input& in) {
  const weft_inbound q{.local_ip = in.local,
                       .remote_ip = in.remote,
                       .local_port = in.port,
                       .enrolled = static_cast<__u8>((in.bits >> 2) & 1),
                       .from_node = static_cast<__u8>((in.bits >> 3) & 1)};
  const weft_decision d = weft_decide_inbound(&q);
  require(d.counter < WEFT_COUNTER_MAX);
  if (d.act == WEFT_STEER) {
    require(q.enrolled && !weft_ip_is_loopback(in.remote) &&
            !weft_ip_equal(in.local, in.remote));  // or ztunnel's dial would loop
  } else if (d.act == WEFT_PASS) {
    const bool own = weft_ip_is_loopback(in.remote) || weft_ip_is_loopback(in.local) ||
                     weft_ip_equal(in.local, in.remote);
    const bool probe = q.from_node && in.port != WEFT_PORT_WAYPOINT;
    require(own || (q.enrolled && (in.port == WEFT_PORT_HBONE || probe)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in{};
  if (size < sizeof(in)) return 0;
  std::memcpy(&in, data, sizeof(in));
  outbound(in);
  inbound(in);
  return 0;
}
