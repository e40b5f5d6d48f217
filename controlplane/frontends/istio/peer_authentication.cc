#include "controlplane/frontends/istio/peer_authentication.h"

#include <charconv>

#include "controlplane/frontends/istio/common.h"
#include "source/fields.h"

namespace weft::controlplane::istio {
namespace {

using source::Field;

model::MtlsMode mode_of(const Field& mtls) {
  mtls.only({"mode"});
  const Field field = mtls["mode"];
  const std::string text = field.string("UNSET");
  if (text == "UNSET") return model::MtlsMode::kUnset;
  if (text == "DISABLE") return model::MtlsMode::kDisable;
  if (text == "PERMISSIVE") return model::MtlsMode::kPermissive;
  if (text == "STRICT") return model::MtlsMode::kStrict;
  field.refuse("must be UNSET, DISABLE, PERMISSIVE or STRICT");
  return model::MtlsMode::kStrict;
}

}  // namespace

Parsed<model::PeerAuthn> decode_peer_authentication(const source::Object& object) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"selector", "mtls", "portLevelMtls"});
  model::PeerAuthn out{.from = provenance(object), .ns = object.ns, .name = object.name};
  out.selector = selector(spec["selector"]);
  out.mode = mode_of(spec["mtls"]);
  const Field ports = spec["portLevelMtls"];
  for (const std::string& key : ports.keys()) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), port);
    if (error != std::errc() || end != key.data() + key.size() || port == 0)
      ports[key].refuse("the key must be a port (1-65535)");
    out.ports[port] = mode_of(ports[key]);
  }
  if (!out.ports.empty() && out.selector.empty()) ports.refuse("needs a selector");
  if (reader.problem()) return std::unexpected(*reader.problem());
  return out;
}

}  // namespace weft::controlplane::istio
