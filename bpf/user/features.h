// What this kernel can do for Weft, probed (never guessed from a version): the report of `weftctl
// check` and the gate of Datapath::open.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft::bpf {

struct Feature {
  std::string_view name;        // "sk_lookup program"
  std::string_view needed_for;  // "inbound capture"
  std::string_view since;       // kernel that first had it: "5.9"
  bool required;                // without it the datapath does not load
  bool present;
};

// Needs CAP_BPF and CAP_NET_ADMIN; without them everything is absent. Takes some milliseconds;
// leaves nothing behind.
std::vector<Feature> probe_features();

// One line a feature, for people: "ok       sk_lookup program (inbound capture)" / "MISSING  …
// needs Linux 5.9, this is 5.4.0".
std::string report(const std::vector<Feature>& features);

// The two features that the programs can do without.
bool has_set_retval();    // a refused connect() reads ECONNREFUSED (5.18)
bool has_mptcp_socket();  // MPTCP clients see their true peer (5.19)

}  // namespace weft::bpf
