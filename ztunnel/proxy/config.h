// ProxyConfig: every number and name the data path goes by, read once from the environment by
// app.cc and then never changed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/net.h"

namespace weft::proxy {

struct ProxyConfig {
  std::string node;  // local workloads are looked up with it
  std::string cluster_id = "Kubernetes";
  std::string cluster_domain = "cluster.local";
  std::string trust_domain = "cluster.local";
  std::string network;
  SocketAddress dns_upstream;  // unset port 0: what the cluster does not know is answered SERVFAIL

  // Waits. Each ends in an error with a hint, never in a hang.
  Clock::duration connect_timeout = std::chrono::seconds(10);       // plain TCP to an endpoint
  Clock::duration hbone_connect_timeout = std::chrono::seconds(5);  // TCP to :15008
  Clock::duration tls_timeout = std::chrono::seconds(5);          // handshake, preface and SETTINGS
  Clock::duration answer_timeout = std::chrono::seconds(10);      // CONNECT answer
  Clock::duration app_connect_timeout = std::chrono::seconds(5);  // inbound: TCP to the application
  Clock::duration workload_wait =
      std::chrono::seconds(5);  // for the local pod's own record and certificate
  // A waypoint's node may know of a service later, or earlier, than the client's: both wait this
  // long for news before a CONNECT that the waypoint does not own fails.
  Clock::duration transit_wait = std::chrono::seconds(1);
  Clock::duration dns_timeout = std::chrono::seconds(5);
  Clock::duration pod_drain =
      std::chrono::seconds(5);  // HBONE still accepted after the pod was deleted
  Clock::duration termination_grace =
      std::chrono::seconds(25);                         // then established connections are reset
  Clock::duration pool_idle = std::chrono::minutes(5);  // an unused tunnel is released

  // Maxima. Beyond each: stop accepting, or refuse the newest.
  // Per loop, and less where the process may open less; a pod may have as many as it leaves for all
  // others.
  std::size_t connections_max = 32768;
  std::size_t handshakes_max = 256;      // unproven HBONE peers, per source address, pod and loop
  std::uint32_t pool_streams_max = 100;  // per tunnel; the peer's SETTINGS may say less
  std::size_t pool_waiters_max = 4096;   // connections waiting for one key's dial
  std::size_t dns_in_flight_max = 512;   // per pod and loop
  std::size_t dns_tcp_max = 64;          // connections, per pod and loop

  std::uint64_t seed = 0;  // of load balancing's dice; 0: from the system
};

}  // namespace weft::proxy
