#include "sandbox/components.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/cgroup.h"
#include "sandbox/dns.h"
#include "sandbox/file.h"
#include "sandbox/ids.h"

namespace weft::sandbox {
namespace {

constexpr std::uint64_t kFilesMax = 1 << 20;

void add_flags(Spawn& what, const std::map<std::string, std::string>& flags) {
  for (const auto& [flag, value] : flags) {
    what.argv.push_back("--" + flag);
    what.argv.push_back(value);
  }
}

std::string seconds_of(const std::string& duration) {
  const long number = std::strtol(duration.c_str(), nullptr, 10);
  const char unit = duration.empty() ? 's' : duration.back();
  return std::to_string(unit == 'h' ? number * 3600 : unit == 'm' ? number * 60 : number);
}

Parsed<void> owned_directory(const std::string& path, unsigned mode, std::uint32_t uid,
                             std::uint32_t gid) {
  if (auto made = make_directories(path); !made) return made;
  if (chown(path.c_str(), uid, gid) != 0 || chmod(path.c_str(), mode) != 0) {
    return problem(fmt::format("cannot give {} to user {}: {}", path, uid, std::strerror(errno)));
  }
  return {};
}

}  // namespace

Component control_plane_component(const Layout& layout, const std::string& bin,
                                  const Settings& settings, const Fabric& fabric) {
  Component c{.name = "controlplane", .log = layout.component_log("controlplane", "")};
  c.command.program = bin + "/weft-controlplane";
  c.command.argv = {"weft-controlplane",
                    "--source",
                    "files:" + layout.objects(),
                    "--tls",
                    "0.0.0.0:15012",
                    "--tls-ip",
                    std::string(kControlV4),
                    "--tokens",
                    layout.tokens_file(),
                    "--state-dir",
                    layout.control_plane(),
                    "--trust-domain",
                    settings.get("trustDomain"),
                    "--root-namespaces",
                    settings.get("rootNamespaces"),
                    "--certificate-ttl",
                    settings.get("certificateTtl"),
                    "--metrics",
                    "0.0.0.0:15014",
                    "--api",
                    layout.control_socket(),
                    "--out",
                    "files:" + layout.outcome(),
                    "--envoy-server",
                    fmt::format("{}:15012", kControlV4),
                    "--tracing-sampling",
                    settings.get("tracingSampling"),
                    "--log-level",
                    settings.get("logLevel")};
  if (!settings.get("rootCert").empty())
    add_flags(c.command,
              {{"root-cert", settings.get("rootCert")}, {"root-key", settings.get("rootKey")}});
  if (!settings.get("tracing").empty())
    add_flags(c.command, {{"tracing", settings.get("tracing")}});
  add_flags(c.command, settings.extra("controlplane"));
  c.command.env = plain_environment();
  c.command.entry = fabric.entry("controlplane");
  c.command.drop = Drop{.uid = kControlPlaneUid, .gid = kControlPlaneUid};
  c.command.files_max = kFilesMax;
  c.ready = {
      .net = fabric.net(), .address = std::string(kControlV4), .port = 15014, .path = "/metrics"};
  return c;
}

Component agent_component(const Layout& layout, const std::string& bin, const Settings& settings,
                          const Node& node) {
  Component c{
      .name = "agent", .node = node.name(), .log = layout.component_log("agent", node.name())};
  const auto& net = node.net();
  c.command.program = bin + "/weft-agent";
  c.command.argv = {"weft-agent",
                    "--node",
                    node.name(),
                    "--source",
                    "files:" + layout.objects(),
                    "--cgroup",
                    "/sys/fs/cgroup/kubepods",
                    "--bpffs",
                    "/sys/fs/bpf/weft/" + node.name(),
                    "--netns-dir",
                    "/run/netns",
                    "--zds",
                    layout.zds_socket(node.name()),
                    "--api",
                    layout.agent_socket(node.name()),
                    "--dns-ip",
                    fmt::format("{},{}", kDnsV4, kDnsV6),
                    "--metrics",
                    net.v4() + ":15030",
                    "--ready",
                    net.v4() + ":15031",
                    "--log-level",
                    settings.get("logLevel")};
  c.command.argv.push_back("--dns-capture=" + settings.get("dnsCapture"));
  add_flags(c.command, settings.extra("agent"));
  c.command.env = plain_environment();
  c.command.entry = node.entry("podweft-node/agent");
  c.command.files_max = kFilesMax;
  c.ready = {
      .net = node.pause().net.get(), .address = net.v4(), .port = 15031, .path = "/healthz/ready"};
  return c;
}

Component ztunnel_component(const Layout& layout, const std::string& bin, const Settings& settings,
                            const Node& node) {
  Component c{
      .name = "ztunnel", .node = node.name(), .log = layout.component_log("ztunnel", node.name())};
  const auto server = fmt::format("https://{}:15012", kControlV4);
  c.command.program = bin + "/weft-ztunnel";
  c.command.argv = {"weft-ztunnel"};
  c.command.env = plain_environment();
  const std::map<std::string, std::string> env = {
      {"NODE_NAME", node.name()},
      {"POD_NAME", "weft-node-" + node.name()},
      {"POD_NAMESPACE", "weft-system"},
      {"INSTANCE_IP", node.net().v4()},
      {"INPOD_UDS", layout.zds_socket(node.name())},
      {"XDS_ADDRESS", server},
      {"CA_ADDRESS", server},
      {"XDS_ROOT_CA", layout.root_cert()},
      {"CA_ROOT_CA", layout.root_cert()},
      {"ALT_XDS_HOSTNAME", "weft-controlplane.weft-system.svc"},
      {"ALT_CA_HOSTNAME", "weft-controlplane.weft-system.svc"},
      {"AUTH_TOKEN", layout.token_file(node.name())},
      {"CLUSTER_ID", "Kubernetes"},
      {"CLUSTER_DOMAIN", std::string(kClusterDomain)},
      {"TRUST_DOMAIN", settings.get("trustDomain")},
      {"ZTUNNEL_WORKER_THREADS", settings.get("ztunnelThreads")},
      {"WEFT_LOG_LEVEL", settings.get("logLevel")},
      {"SECRET_TTL", settings.get("certificateTtl")},
      {"WEFT_DNS_UPSTREAM", fmt::format("{}:53", kDnsV4)},
      {"WEFT_IO", settings.get("io")},
      {"XDS_ON_DEMAND", settings.get("onDemand")},
      {"TERMINATION_GRACE_PERIOD_SECONDS", seconds_of(settings.get("terminationGrace"))},
      {"ISTIO_META_DNS_CAPTURE",
       settings.is("dnsCapture") && !settings.is("onDemand") ? "true" : "false"},
      {"WEFT_STATE_DIR", layout.ztunnel_state(node.name())},
      {"WEFT_ADMIN_ADDR", "127.0.0.1:15000"},
      {"WEFT_METRICS_ADDR", "0.0.0.0:15020"},
      {"WEFT_READY_ADDR", "0.0.0.0:15021"}};
  auto all = settings.extra("ztunnel");
  all.insert(env.begin(), env.end());
  for (const auto& [name, value] : all) c.command.env.push_back(name + "=" + value);
  c.command.entry = node.entry("podweft-node/ztunnel");
  c.command.drop =
      Drop{.uid = kZtunnelUid, .gid = kZtunnelUid, .deny_io_uring = settings.is("denyIoUring")};
  c.command.files_max = kFilesMax;
  c.ready = {.net = node.pause().net.get(),
             .address = node.net().v4(),
             .port = 15021,
             .path = "/healthz/ready"};
  return c;
}

Component dns_component(const Layout& layout, const Fabric& fabric) {
  Component c{.name = "dns", .log = layout.component_log("dns", "")};
  c.command = dns_command(layout);
  c.command.entry = fabric.entry("dns");
  return c;
}

Parsed<void> prepare_component_files(const Layout& layout, const std::vector<NodeNet>& nodes) {
  if (auto made = owned_directory(layout.control_plane(), 0755, kControlPlaneUid, kControlPlaneUid);
      !made)
    return made;
  for (const char* part : {"", "/objects", "/status"}) {
    if (auto made =
            owned_directory(layout.outcome() + part, 0700, kControlPlaneUid, kControlPlaneUid);
        !made)
      return made;
  }
  std::string tokens;
  for (const auto& node : nodes) {
    const auto name = node.name();
    const auto token = new_uid() + new_uid();
    tokens += fmt::format("- token: {}\n  node: {}\n", token, name);
    if (auto made = make_directories(layout.node(name)); !made) return made;
    // What the agent makes here gets ztunnel's group, so that ztunnel may connect and nobody else.
    if (auto made = owned_directory(layout.node(name) + "/zds", 02750, 0, kZtunnelUid); !made)
      return made;
    if (auto made = owned_directory(layout.ztunnel_state(name), 0700, kZtunnelUid, kZtunnelUid);
        !made)
      return made;
    if (auto written = write_file(layout.token_file(name), token, 0400, kZtunnelUid, kZtunnelUid);
        !written)
      return written;
  }
  return write_file(layout.tokens_file(), tokens, 0400, kControlPlaneUid, kControlPlaneUid);
}

}  // namespace weft::sandbox
