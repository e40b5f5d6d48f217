// Thirty manifests that are wrong. Each gives one error that names file, line, field and value, and
// nothing comes in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "source/core.h"
#include "source/object.h"

namespace weft::source {
namespace {

struct Row {
  const char* name;
  std::string text;
  const char* error;  // what the text must hold, "f.yaml:LINE: FIELD: …"
};

std::string bomb() {
  std::string text =
      "apiVersion: v1\nkind: Node\nmetadata: {name: nn}\na0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 9; ++k) text += (k ? ",*a" : "*a") + std::to_string(i - 1);
    text += "]\n";
  }
  return text;
}
std::string deep() {
  return "apiVersion: v1\nkind: Node\nmetadata: {name: nn}\nspec: " + std::string(100, '[') +
         std::string(100, ']') + "\n";
}
const std::string kHead = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n";
const std::string kService = "apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n";

std::vector<Row> rows() {
  return {
      {"unclosed flow", "apiVersion: [v1\n", "f.yaml:2: document: YAML"},
      {"tab indentation", "apiVersion: v1\nmetadata:\n\tname: p\n", "f.yaml:3: document: YAML"},
      {"unknown alias", "apiVersion: *nothing\n", "f.yaml:1: document: YAML"},
      {"unclosed quote", "apiVersion: \"v1\nkind: Pod\n", "f.yaml:1"},
      {"a list as document", "- a\n- b\n", "f.yaml:1: document: must be a map"},
      {"a word as document", "hello\n", "f.yaml:1: document: must be a map"},
      {"second document broken", kHead + "---\njust text\n", "f.yaml:6: document: must be a map"},
      {"duplicate key", kHead + "  name: q\n", "f.yaml:5: metadata.name: duplicate key"},
      {"merge key", "base: &b {kind: Pod}\n<<: *b\napiVersion: v1\n", "f.yaml:2: <<: merge keys"},
      {"map as key", "apiVersion: v1\n? {a: b}\n: c\n", "a key that is no string"},
      {"stray comma after a document", kHead + "---\n,more: x\n", "f.yaml:"},
      {"stray brace after a document", kHead + "---\n}\n", "f.yaml:"},
      {"a cycle", "apiVersion: v1\nkind: Node\nmetadata: {name: nn}\nspec: &a [*a]\n",
       "nested deeper than 64"},
      {"alias bomb", bomb(), "more than 200000 values"},
      {"too deep", deep(), "f.yaml:4: spec"},
      {"too large", kHead + "data: " + std::string(kMaxBytes, 'x'), "larger than 1 MiB, got"},
      {"not UTF-8", kHead + "note: \"\xff\"\n", "f.yaml: document: not UTF-8"},
      {"surrogate escape", kHead + "note: \"\\ud800\"\n", "f.yaml:5"},
      {"NUL byte", kHead + std::string("note: a\0b\n", 10), "holds a NUL byte"},
      {"tag that does not fit", kHead + "spec: {hostNetwork: !!bool maybe}\n",
       "f.yaml:5: spec.hostNetwork: the tag"},
      {"no apiVersion", "kind: Pod\nmetadata: {name: p}\n", "f.yaml:1: apiVersion: is required"},
      {"no kind", "apiVersion: v1\nmetadata: {name: p}\n", "f.yaml:1: kind: is required"},
      {"no name", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: p-}\n",
       "f.yaml:3: metadata.name: must be the object's name"},
      {"slash in name", "apiVersion: v1\nkind: Pod\nmetadata: {name: a/b}\n",
       "f.yaml:3: metadata.name: must be the object's name, got \"a/b\""},
      {"bad namespace", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: A_B}\n",
       "f.yaml:3: metadata.namespace: must be a namespace's name, got \"A_B\""},
      {"kind is a number", "apiVersion: v1\nkind: 7\nmetadata: {name: p}\n",
       "f.yaml:2: kind: must be a string, got 7"},
      {"label is a boolean", kHead + "  labels:\n    meshed: yes\n",
       "f.yaml:6: metadata.labels.meshed: must be a string, got true"},
      {"annotations are a list", kHead + "  annotations: [a]\n",
       "f.yaml:5: metadata.annotations: must be a map, got [\"a\"]"},
      {"same object twice", kHead + "---\n" + kHead,
       "f.yaml:9: metadata.name: the same object twice"},
      {"items is no list", "kind: List\nitems: 3\n", "f.yaml:2: items: must be a list"},
      {"item without name", "kind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n",
       "f.yaml:3: metadata.name: must be the object's name"},
      {"pod IP", kHead + "status:\n  podIP: 10.0.0.256\n",
       "f.yaml:6: status.podIP: must be an IP address, got \"10.0.0.256\""},
      {"container port", kHead + "spec:\n  containers:\n  - ports:\n    - containerPort: 70000\n",
       "f.yaml:8: spec.containers[0].ports[0].containerPort: must be a port (1-65535), got 70000"},
      {"hostNetwork as string", kHead + "spec: {hostNetwork: \"true\"}\n",
       "f.yaml:5: spec.hostNetwork: must be true or false, got \"true\""},
      {"containers is a map", kHead + "spec:\n  containers: {}\n",
       "f.yaml:6: spec.containers: must be a list, got {}"},
      {"service port missing", kService + "spec:\n  ports:\n  - name: http\n",
       "f.yaml:7: spec.ports[0].port: is required"},
      {"service protocol", kService + "spec:\n  ports:\n  - {port: 80, protocol: HTTP}\n",
       "f.yaml:7: spec.ports[0].protocol: must be TCP, UDP or SCTP, got \"HTTP\""},
      {"cluster IP", kService + "spec: {clusterIP: ten}\n",
       "f.yaml:5: spec.clusterIP: must be an IP address, got \"ten\""},
      {"selector value", kService + "spec: {selector: {version: 1}}\n",
       "f.yaml:5: spec.selector.version: must be a string, got 1"},
      {"slice address type",
       "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e}\naddressType: "
       "v4\n",
       "f.yaml:4: addressType: must be IPv4, IPv6 or FQDN, got \"v4\""},
  };
}

std::optional<std::string> error_of(const std::string& text) {
  const auto objects = parse_manifest(text, "f.yaml");
  if (!objects) return objects.error().text;
  for (const ObjectPtr& object : *objects) {
    if (const auto bad = admit_core(*object)) return bad->text;
  }
  return std::nullopt;
}

TEST(BrokenManifests, EachGivesOneErrorWithFileLineFieldAndValue) {
  ASSERT_GE(rows().size(), 30u);
  for (const Row& row : rows()) {
    const auto error = error_of(row.text);
    ASSERT_TRUE(error) << row.name << " was accepted";
    EXPECT_THAT(*error, testing::HasSubstr(row.error)) << row.name;
    EXPECT_THAT(*error, testing::StartsWith("f.yaml")) << row.name;
    EXPECT_EQ(error->find('\n'), std::string::npos) << row.name << ": one line";
  }
}

}  // namespace
}  // namespace weft::source
