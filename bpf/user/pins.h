// The directory of pins: links by name, kept current or replaced. Private to bpf/user.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct bpf_program;

namespace weft::bpf {

// "link_connect4", and "netns_4026532601".
std::string link_pin(std::string_view pin_dir, std::string_view program);
std::string netns_pin(std::string_view pin_dir, std::uint64_t netns_inode);

// Makes `pin_dir` (0700) if it is missing; says what is wrong when its parent is no bpffs.
Parsed<void> prepare_pin_dir(const std::string& pin_dir);

// The pinned cgroup link of `program` runs this very program afterwards: updated in place (atomic
// for connections) when it is alive and of this cgroup, otherwise attached anew and pinned.
Parsed<void> keep_cgroup_link(const std::string& pin, bpf_program* program, int cgroup_fd,
                              std::uint64_t cgroup_id);

// Updates every pinned inbound link and drops the pins of those whose netns is gone.
Parsed<void> keep_netns_links(const std::string& pin_dir, bpf_program* program);

// Attaches to the netns, or updates what is attached and pinned already.
Result<std::uint64_t> attach_netns(const std::string& pin_dir, bpf_program* program, int netns_fd);

// Detaches and unpins; success when there is nothing.
Result<void> drop_link(const std::string& pin);

// Inodes of all netns_* pins; alive or not.
std::vector<std::uint64_t> netns_pins(const std::string& pin_dir);
// 0 when the pin is missing or its netns is gone.
std::uint64_t live_netns_of(const std::string& pin);
// 0 when there is none.
std::uint32_t link_id_of(const std::string& pin);

}  // namespace weft::bpf
