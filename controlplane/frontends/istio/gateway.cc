#include "controlplane/frontends/istio/gateway.h"

#include <algorithm>
#include <array>

#include "controlplane/frontends/istio/common.h"
#include "source/fields.h"

namespace weft::controlplane::istio {
namespace {

using model::Listener;
using model::ServerTls;
using source::Field;

std::string version(const Field& field) {
  const std::string text = field.string("TLS_AUTO");
  if (text != "TLS_AUTO" && text != "TLSV1_0" && text != "TLSV1_1" && text != "TLSV1_2" &&
      text != "TLSV1_3")
    field.refuse("must be TLS_AUTO, TLSV1_0, TLSV1_1, TLSV1_2 or TLSV1_3");
  return text == "TLS_AUTO" ? "" : text;
}

// False when the server asks for something that must not be left out.
bool tls(const Field& field, read::Notes& notes, Listener& out) {
  field.only({"httpsRedirect", "mode", "serverCertificate", "privateKey", "caCertificates", "caCrl",
              "credentialName", "credentialNames", "caCertCredentialName", "tlsCertificates",
              "subjectAltNames", "verifyCertificateSpki", "verifyCertificateHash",
              "minProtocolVersion", "maxProtocolVersion", "cipherSuites"});
  for (const char* name :
       {"serverCertificate", "privateKey", "caCertificates", "caCrl", "tlsCertificates"}) {
    if (field[name].present())
      field[name].refuse("a file is not there in a shared proxy: use credentialName");
  }
  out.https_redirect = field["httpsRedirect"].boolean();
  const bool plain = out.protocol == "HTTP" || out.protocol == "HTTP2" || out.protocol == "GRPC";
  if (plain) return true;
  ServerTls value{.mode = ServerTls::Mode::kPassthrough};
  const std::string mode = field["mode"].string("PASSTHROUGH");
  bool whole = true;
  if (mode == "SIMPLE") {
    value.mode = ServerTls::Mode::kSimple;
  } else if (mode == "MUTUAL") {
    value.mode = ServerTls::Mode::kMutual;
  } else if (mode == "OPTIONAL_MUTUAL") {
    value.mode = ServerTls::Mode::kOptionalMutual;
  } else if (mode == "ISTIO_MUTUAL" || mode == "AUTO_PASSTHROUGH") {
    notes.beyond(field["mode"], "the server is left out");
    whole = false;
  } else if (mode != "PASSTHROUGH") {
    field["mode"].refuse("must be PASSTHROUGH, SIMPLE, MUTUAL or OPTIONAL_MUTUAL");
  }
  const Field one = field["credentialName"], many = field["credentialNames"];
  if (one.present() && many.present()) many.refuse("cannot be set together with credentialName");
  if (one.present()) value.secrets = {"/" + one.string()};
  for (const std::string& name : many.strings()) value.secrets.push_back("/" + name);
  if (whole && value.mode != ServerTls::Mode::kPassthrough && value.secrets.empty())
    one.refuse("is required for " + mode);
  value.min_version = version(field["minProtocolVersion"]);
  value.max_version = version(field["maxProtocolVersion"]);
  for (const char* name : {"subjectAltNames", "verifyCertificateSpki", "verifyCertificateHash",
                           "caCertCredentialName"}) {
    if (!field[name].present()) continue;
    notes.beyond(field[name], "who may connect; the server is left out");
    whole = false;
  }
  notes.beyond(field["cipherSuites"], "Envoy's own are used");
  out.tls = std::move(value);
  return whole;
}

void hosts(const Field& list, Listener& out) {
  for (const Field& field : list.list()) {
    std::string text = read::lower(field.string());
    if (const std::size_t slash = text.find('/'); slash != std::string::npos) {
      const std::string ns = text.substr(0, slash);
      text.erase(0, slash + 1);
      if (ns != "*" && ns != "." && !read::is_label(ns))
        field.refuse("must be [NAMESPACE/]NAME, where NAMESPACE may be * or .");
      if (ns != "*") out.host_namespaces[text] = ns;
    }
    if (const std::string why = read::why_no_host(text, true); !why.empty()) field.refuse(why);
    out.hosts.push_back(std::move(text));
  }
  if (out.hosts.empty()) list.refuse("is required");
}

std::optional<Listener> server(const Field& field, read::Notes& notes) {
  constexpr std::array<std::string_view, 8> kProtocols = {"HTTP", "HTTPS", "HTTP2", "GRPC",
                                                          "TCP",  "TLS",   "MONGO", "GRPC-WEB"};
  field.only({"port", "bind", "hosts", "tls", "name", "defaultEndpoint"});
  const Field port = field["port"];
  port.only({"number", "protocol", "name", "targetPort"});
  Listener out{.name = port["name"].string(), .port = port["number"].port(), .routes_from = "All"};
  if (!port["number"].present()) port["number"].refuse("is required");
  if (out.name.empty()) port["name"].refuse("is required");
  out.protocol = port["protocol"].string();
  for (char& c : out.protocol) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  if (std::find(kProtocols.begin(), kProtocols.end(), out.protocol) == kProtocols.end())
    port["protocol"].refuse("must be HTTP, HTTPS, HTTP2, GRPC, TCP or TLS");
  if (out.protocol == "MONGO") out.protocol = "TCP";
  if (out.protocol == "GRPC-WEB") out.protocol = "HTTP";
  const bool secure = out.protocol == "HTTPS" || out.protocol == "TLS";
  if (secure && !field["tls"].present()) field["tls"].refuse("is required by the protocol");
  if (out.protocol != "HTTP" && field["tls"]["httpsRedirect"].boolean())
    field["tls"]["httpsRedirect"].refuse("is only for HTTP");
  hosts(field["hosts"], out);
  notes.beyond(port["targetPort"], "the pod listens on the port itself");
  const bool whole = !field["tls"].present() || tls(field["tls"], notes, out);
  notes.beyond(field["bind"], "the server listens on every address");
  notes.beyond(field["defaultEndpoint"], "the server forwards what routes say");
  return whole ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace

Parsed<model::Decoded<model::Gateway>> decode_gateway(const source::Object& object,
                                                      std::string_view domain) {
  source::Reader reader(object);
  const Field spec = reader.root()["spec"];
  spec.only({"servers", "selector"});
  read::Notes notes;
  model::Gateway out{.from = provenance(object),
                     .ns = object.ns,
                     .name = object.name,
                     .selector = spec["selector"].string_map(),
                     .labels = object.labels,
                     .annotations = object.annotations};
  if (spec["servers"].list().empty()) spec["servers"].refuse("must have a server");
  for (const Field& field : spec["servers"].list()) {
    if (auto one = server(field, notes)) out.listeners.push_back(std::move(*one));
  }
  if (reader.problem()) return std::unexpected(*reader.problem());
  return read::decoded(std::vector{std::move(out)}, std::move(notes));
}

}  // namespace weft::controlplane::istio
