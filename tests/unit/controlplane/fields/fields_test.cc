// Nothing that is written is ignored silently: each field of each API that a front end reads, set
// alone, changes what nodes or Envoys are told, or is named as not supported in the object's status
// and by analyze. Each kind that no front end reads is named in both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cases.h"
#include "controlplane/backends/envoy/resources.h"
#include "controlplane/ca/x509.h"
#include "controlplane/deploy/status.h"
#include "controlplane/frontends/admit.h"
#include "controlplane/frontends/analyze/analyze.h"
#include "l7_world.h"
#include "source/kinds.h"

namespace weft::controlplane {
namespace {

using fields::Case;
using nlohmann::json;

std::string quoted(const std::string& text) { return json(text).dump(); }

std::string certificate() {
  static const std::string yaml = [] {
    const auto key = ca::make_key();
    const auto now = WallClock::now();
    const auto cert = ca::make_root(key.get(), "td", now, now + std::chrono::hours(24));
    const std::string pem = quoted(ca::cert_pem(cert.get()));
    std::string out;
    for (const char* ns : {"shop", "weft-system"}) {
      out += "---\napiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: " +
             std::string(ns) + "}\nstringData: {tls.crt: " + pem +
             ", tls.key: " + quoted(ca::key_pem(key.get())) + ", ca.crt: " + pem + "}\n";
    }
    return out;
  }();
  return yaml;
}

// What stands around the object that is tried (always named x).
std::string surroundings() {
  std::ifstream file(std::string(WEFT_API_FIELDS_DIR) + "/world.yaml");
  return std::string{std::istreambuf_iterator<char>(file), {}} + certificate();
}

source::ObjectPtr object_of(const std::string& kind, const std::string& version, const json& spec,
                            const char* ns = "shop") {
  const std::size_t dot = kind.find('.');
  json body{{"apiVersion", kind.substr(dot + 1) + "/" + version},
            {"kind", kind.substr(0, dot)},
            {"metadata", {{"name", "x"}, {"namespace", ns}, {"generation", 1}}},
            {"spec", spec}};
  if (source::is_cluster_scoped(kind.substr(0, dot))) body["metadata"].erase("namespace");
  auto object = source::make_object(std::move(body), "x.yaml:1");
  EXPECT_TRUE(object) << object.error().text;
  return *object;
}

// Everything that leaves the control plane because of an object.
struct Told {
  std::string refused;
  std::map<std::string, std::string> resources;  // by type and name
  std::string status;                            // as JSON
  std::vector<std::string> notes;                // "PATH: why", by analyze
};

void note_resources(L7World& world, Told& out) {
  envoy::Settings settings;
  settings.tracing = {.kind = envoy::Tracing::Kind::kZipkin, .host = "10.0.0.9", .port = 9411};
  for (const auto& [id, plan] : world.plans) {
    for (const auto& [type, resources] : envoy::resources(plan, settings, "")->types) {
      for (const auto& [name, resource] : resources)
        out.resources[id + " " + type + " " + name] = resource->body;
    }
  }
  for (const auto& [key, one] : world.workloads)
    out.resources["workload " + key] = ztunnel::make_resource(one)->body;
  for (const auto& [key, one] : world.services)
    out.resources["service " + key] = ztunnel::make_resource(one)->body;
  for (const auto& [key, one] : world.policies)
    out.resources["policy " + key] = ztunnel::make_resource(one)->body;
  for (const auto& one : world.gateways) {
    std::string text = one.class_name + " " + std::to_string(one.automatic);
    for (const auto port : one.ports) text += " " + std::to_string(port);
    for (const auto& [name, value] : one.pod_labels) text += " " + name + "=" + value;
    out.resources["deployment " + one.plan_id] = text;
  }
}

Told tell(const source::ObjectPtr& object) {
  Told out;
  if (const auto bad = admit_mesh(*object)) {
    out.refused = bad->text;
    return out;
  }
  static const std::string around = surroundings();
  L7World world;
  world.put(around);
  world.serve("shop");
  world.put("---\n" + object->body->dump());
  world.ack("shop");
  // What the address of a rule's keys answers, should a rule name it.
  world.world.fetched("http://keys.example.com/",
                      std::string(R"({"keys":[{"kty":"oct","k":"AAAA"}]})"));
  world.put("");
  note_resources(world, out);
  if (const auto* status = world.world.status(object->key()))
    out.status = deploy::status_patch(*status).status->dump();
  source::ObjectSet set{{object->key(), object}};
  for (const auto& one : objects(around)) set[one->key()] = one;
  for (const auto& finding : analyze::analyze(set)) {
    if (finding.object != object->key()) continue;
    constexpr std::string_view kPrefix = "not supported yet: ";
    const auto& text = finding.message;
    if (finding.code == "WFT0001" || finding.code == "WFT0002" || finding.code == "IST0002")
      out.notes.push_back(text.starts_with(kPrefix) ? text.substr(kPrefix.size()) : text);
  }
  return out;
}

bool is_within(std::string_view inner, std::string_view outer) {
  return inner.starts_with(outer) &&
         (inner.size() == outer.size() || inner[outer.size()] == '.' || inner[outer.size()] == '[');
}
std::string path_of(const std::string& note) { return note.substr(0, note.find(": ")); }

// "" when a note about the field is in analyze and in the status.
std::string why_not_named(const Told& told, const std::string& where) {
  std::string why = "no note";
  for (const std::string& note : told.notes) {
    const std::string path = path_of(note);
    if (!is_within(where, path) && !is_within(path, where)) continue;
    const std::string text = quoted(note);
    if (told.status.find(text.substr(1, text.size() - 2)) != std::string::npos) return "";
    why = "analyze says \"" + note + "\" but the status does not: " + told.status;
  }
  return why;
}

// A refusal that says that the field is beyond Weft, not that its value is wrong.
bool is_refused_by_name(const std::string& refused, const std::string& where) {
  const std::size_t colon = refused.find(": ");
  if (colon == std::string::npos) return false;
  const std::string path = path_of(refused.substr(colon + 2));
  return (is_within(where, path) || is_within(path, where)) &&
         (refused.find("is not supported") != std::string::npos ||
          refused.find("not there in a shared proxy") != std::string::npos);
}

const char* namespace_of(const std::string& kind) {
  return kind == "ReferenceGrant.gateway.networking.k8s.io" ? "other" : "shop";
}

// Names by which other objects, people or nothing at all refer to a part: they decide nothing.
constexpr const char* kForPeople[] = {"Gateway.networking.istio.io spec.servers[].name",
                                      "Gateway.networking.istio.io spec.servers[].port.name",
                                      "ServiceEntry.networking.istio.io spec.ports[].name",
                                      "GatewayClass.gateway.networking.k8s.io spec.description",
                                      "Gateway.gateway.networking.k8s.io spec.listeners[].name"};

bool is_for_people(const Case& one) {
  return std::find(std::begin(kForPeople), std::end(kForPeople), one.kind + " " + one.path) !=
         std::end(kForPeople);
}

TEST(Fields, EachChangesSomethingOrIsNamed) {
  std::size_t changed = 0, named = 0, refused = 0, idle = 0, silent = 0;
  std::map<std::string, Told> bases;
  for (const Case& one : fields::cases()) {
    const auto base = object_of(one.kind, "v1", one.without, namespace_of(one.kind));
    const auto object = object_of(one.kind, "v1", one.with, namespace_of(one.kind));
    auto& without = bases[one.kind + one.without.dump()];
    if (without.resources.empty()) without = tell(base);
    ASSERT_EQ(without.refused, "") << one.kind << " " << one.path << ": the base is refused";
    ASSERT_NE(one.with, one.without) << one.kind << " " << one.path << ": the base has it already";
    const Told with = tell(object);
    if (!with.refused.empty()) {
      EXPECT_TRUE(is_refused_by_name(with.refused, one.where))
          << one.kind << " " << one.path << ": " << with.refused;
      ++refused;
    } else if (with.resources != without.resources) {
      ++changed;
    } else if (const std::string why = why_not_named(with, one.where); why.empty()) {
      ++named;
    } else if (is_for_people(one)) {
      ++idle;
    } else {
      ++silent;
      ADD_FAILURE() << one.kind << " " << one.path << " is ignored silently (" << why << ")\n"
                    << one.with.dump();
    }
  }
  RecordProperty("changed", static_cast<int>(changed));
  std::printf("%zu fields change something, %zu are named, %zu refused, %zu silent\n", changed,
              named, refused, silent);
  EXPECT_EQ(idle, std::size(kForPeople));
  EXPECT_GT(changed, 300u);
}

TEST(Fields, EachKindWithoutAFrontEndIsNamed) {
  std::size_t count = 0;
  for (const source::Kind& kind : source::mesh_kinds()) {
    const std::string name = std::string(kind.kind) + "." + std::string(kind.group);
    if (has_front_end(name)) continue;
    ++count;
    for (std::string_view words = kind.versions; !words.empty();) {
      const std::string version(words.substr(0, words.find(' ')));
      words = words.size() == version.size() ? "" : words.substr(version.size() + 1);
      json spec = json::object();
      if (kind.kind == "TrafficSplit") spec["service"] = "reviews";
      if (kind.group == "gateway.networking.k8s.io" && kind.kind.ends_with("Route"))
        spec["parentRefs"] =
            json::array({json{{"kind", "Service"}, {"group", ""}, {"name", "reviews"}}});
      const Told told = tell(object_of(name, version, spec));
      ASSERT_EQ(told.refused, "") << name;
      const std::string says = "kind " + std::string(kind.kind) + " of " + std::string(kind.group) +
                               "/" + version + " is not supported yet: it has no effect";
      EXPECT_THAT(told.status, testing::HasSubstr(says));
      EXPECT_THAT(told.status, testing::HasSubstr("\"status\":\"False\",\"type\":\"Accepted\""));
      EXPECT_THAT(told.notes, testing::Contains(testing::StartsWith(says)));
    }
  }
  EXPECT_GT(count, 50u);
}

// A kind that the list of fields has is one of source::mesh_kinds(), and every kind with a front
// end is tried.
TEST(Fields, KindsAndFieldsAreOfTheSameApis) {
  std::set<std::string> tried;
  for (const Case& one : fields::cases()) tried.insert(one.kind);
  for (const source::Kind& kind : source::mesh_kinds()) {
    const std::string name = std::string(kind.kind) + "." + std::string(kind.group);
    EXPECT_EQ(has_front_end(name), tried.contains(name)) << name;
  }
}

}  // namespace
}  // namespace weft::controlplane
