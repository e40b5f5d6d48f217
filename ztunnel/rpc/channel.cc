#include "ztunnel/rpc/channel.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <fstream>
#include <sstream>

#include "base/net.h"

namespace weft::rpc {
namespace {

constexpr int kMessageMax = 200 << 20;
constexpr const char* kSystemRoots = "/etc/ssl/certs/ca-certificates.crt";

Parsed<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || text.str().empty()) return problem(fmt::format("{} cannot be read or is empty", path));
  return text.str();
}

struct Target {
  bool tls = true;
  std::string host_port;
  std::string host;
};

Target parse_target(std::string_view address) {
  Target target;
  if (address.starts_with("https://")) {
    address.remove_prefix(8);
  } else if (address.starts_with("http://")) {
    address.remove_prefix(7);
    target.tls = false;
  }
  while (address.ends_with('/')) address.remove_suffix(1);
  target.host_port = address;
  const auto colon = address.rfind(':');
  target.host = address.substr(0, colon);
  if (target.host.starts_with('[') && target.host.ends_with(']')) target.host = target.host.substr(1, target.host.size() - 2);
  return target;
}

grpc::ChannelArguments make_arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageMax);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);  // this one is the connect timeout
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

Parsed<std::string> read_root(const std::string& source) {
  if (source.find("-----BEGIN") != std::string::npos) return source;
  return read_file(source == "SYSTEM" ? kSystemRoots : source);
}

Parsed<std::shared_ptr<grpc::Channel>> make_channel(const Endpoint& endpoint) {
  const Target target = parse_target(endpoint.address);
  auto arguments = make_arguments();
  if (!target.tls) return grpc::CreateCustomChannel(target.host_port, grpc::InsecureChannelCredentials(), arguments);
  auto root = read_root(endpoint.root);
  if (!root) return problem(root.error().text);
  std::string name = endpoint.alt_name;
  if (name.empty() && IpAddress::parse(target.host)) name = kDefaultName;
  if (!name.empty()) arguments.SetString(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, name);
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = *std::move(root);
  return grpc::CreateCustomChannel(target.host_port, grpc::SslCredentials(tls), arguments);
}

Parsed<void> add_headers(const Endpoint& endpoint, grpc::ClientContext& context) {
  if (!endpoint.token.empty()) {
    auto token = read_file(endpoint.token);
    if (!token) return problem("token: " + token.error().text);
    while (!token->empty() && std::isspace(static_cast<unsigned char>(token->back())) != 0) token->pop_back();
    context.AddMetadata("authorization", "Bearer " + *token);
  }
  if (!endpoint.cluster_id.empty()) context.AddMetadata("clusterid", endpoint.cluster_id);
  for (const auto& [name, value] : endpoint.headers) context.AddMetadata(name, value);
  return {};
}

}  // namespace weft::rpc
