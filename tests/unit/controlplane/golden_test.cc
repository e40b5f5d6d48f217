// golden/NAME.yaml in, golden/NAME.txt out: everything that a node is told about these manifests.
// WEFT_UPDATE_GOLDEN=1 writes the files; read the difference before committing it.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "fixture.h"
#include "weft/authorization.pb.h"
#include "weft/workload.pb.h"

namespace weft::controlplane {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Addresses are bytes on the wire; people read "10.0.0.1".
class AddressPrinter : public google::protobuf::TextFormat::FastFieldValuePrinter {
 public:
  void PrintBytes(const std::string& value,
                  google::protobuf::TextFormat::BaseTextGenerator* out) const override {
    const auto ip =
        IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
    out->PrintString("\"" + (ip ? ip->str() : "?") + "\"");
  }
};

template <class Message>
std::string text_of(const xds::Resource& resource) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(resource.body));
  google::protobuf::TextFormat::Printer printer;
  printer.SetDefaultFieldValuePrinter(new AddressPrinter);
  std::string text;
  printer.PrintToString(message, &text);
  return "## " + resource.name + "\n" + text + "\n";
}

std::string translate_all(const std::string& yaml) {
  TestWorld world;
  world.apply(yaml);
  std::string out;
  for (const auto& [key, policy] : world.policies)
    out += text_of<::istio::security::Authorization>(*ztunnel::make_resource(policy));
  for (const auto& [key, service] : world.services)
    out += text_of<::istio::workload::Address>(*ztunnel::make_resource(service));
  for (const auto& [key, workload] : world.workloads)
    out += text_of<::istio::workload::Address>(*ztunnel::make_resource(workload));
  for (const auto& status : world.world.statuses()) {
    for (const auto& condition : status.conditions) {
      out += "# " + status.key.str() + ": " + condition.type + "=" +
             (condition.status ? "True" : "False") + " " + condition.reason + ": " +
             condition.message + "\n";
    }
  }
  return out;
}

TEST(Golden, ManifestsBecomeExactlyThis) {
  std::size_t seen = 0;
  for (const auto& entry : fs::directory_iterator(WEFT_GOLDEN_DIR)) {
    if (entry.path().extension() != ".yaml") continue;
    ++seen;
    const std::string got = translate_all(slurp(entry.path()));
    fs::path expected = entry.path();
    expected.replace_extension(".txt");
    if (std::getenv("WEFT_UPDATE_GOLDEN") != nullptr) std::ofstream(expected) << got;
    EXPECT_EQ(got, slurp(expected)) << entry.path();
  }
  EXPECT_GE(seen, 5u);
}

}  // namespace
}  // namespace weft::controlplane
