#include "bpf/user/features.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/utsname.h>

namespace weft::bpf {
namespace {

Feature program(std::string_view name, std::string_view needed_for, std::string_view since,
                bpf_prog_type type) {
  return {name, needed_for, since, true, libbpf_probe_bpf_prog_type(type, nullptr) == 1};
}

Feature map(std::string_view name, std::string_view needed_for, std::string_view since,
            bpf_map_type type) {
  return {name, needed_for, since, true, libbpf_probe_bpf_map_type(type, nullptr) == 1};
}

Feature helper(std::string_view name, std::string_view needed_for, std::string_view since,
               bool required, bpf_prog_type type, bpf_func_id id) {
  return {name, needed_for, since, required, libbpf_probe_bpf_helper(type, id, nullptr) == 1};
}

bool has_helper(bpf_prog_type type, bpf_func_id id) {
  return libbpf_probe_bpf_helper(type, id, nullptr) == 1;
}

}  // namespace

bool has_set_retval() { return has_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval); }
bool has_mptcp_socket() { return has_helper(BPF_PROG_TYPE_SOCK_OPS, BPF_FUNC_skc_to_mptcp_sock); }

std::vector<Feature> probe_features() {
  // Without a privilege every probe would print a warning of its own; the report says it once.
  const auto print_before = libbpf_set_print(nullptr);
  std::vector<Feature> features = {
      map("socket storage", "original destinations", "5.2", BPF_MAP_TYPE_SK_STORAGE),
      map("socket hash", "inbound listeners", "4.18", BPF_MAP_TYPE_SOCKHASH),
      program("cgroup address programs", "outbound capture", "4.17",
              BPF_PROG_TYPE_CGROUP_SOCK_ADDR),
      program("cgroup socket option programs", "SO_ORIGINAL_DST", "5.3",
              BPF_PROG_TYPE_CGROUP_SOCKOPT),
      program("sockops programs", "true peer addresses", "4.13", BPF_PROG_TYPE_SOCK_OPS),
      program("sk_lookup programs", "inbound capture", "5.9", BPF_PROG_TYPE_SK_LOOKUP),
      helper("netns cookie in cgroup hooks", "telling pods apart", "5.7", true,
             BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_get_netns_cookie),
      helper("netns cookie in sockops", "telling pods apart", "5.15", true, BPF_PROG_TYPE_SOCK_OPS,
             BPF_FUNC_get_netns_cookie),
      helper("return value of cgroup hooks", "refusals that read ECONNREFUSED, not EPERM", "5.18",
             false, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval),
      helper("MPTCP sockets in sockops", "true peer addresses for MPTCP clients", "5.19", false,
             BPF_PROG_TYPE_SOCK_OPS, BPF_FUNC_skc_to_mptcp_sock),
  };
  libbpf_set_print(print_before);
  return features;
}

std::string report(const std::vector<Feature>& features) {
  utsname kernel{};
  uname(&kernel);
  std::string text;
  for (const Feature& feature : features) {
    if (feature.present) {
      text += fmt::format("ok       {} ({})\n", feature.name, feature.needed_for);
    } else {
      text += fmt::format("{}  {} ({}) needs Linux {}, this is {}\n",
                          feature.required ? "MISSING" : "without", feature.name,
                          feature.needed_for, feature.since, kernel.release);
    }
  }
  return text;
}

}  // namespace weft::bpf
