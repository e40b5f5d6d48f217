#include "source/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <optional>
#include <sstream>
#include <unordered_map>

namespace weft::source {
namespace {

class Builder final : public YAML::EventHandler {
 public:
  YamlTree tree;
  // Where the document began that is being read.
  std::optional<int> document_at;

  void OnDocumentStart(const YAML::Mark& mark) override {
    document_at = mark.pos;
    open_.clear();
    anchors_.clear();
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add({.line = line(mark)}, anchor);
  }
  void OnAlias(const YAML::Mark&, YAML::anchor_t anchor) override { attach(anchors_[anchor]); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    add({.kind = YamlNode::Kind::kScalar, .line = line(mark), .tag = tag, .text = value}, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_.push_back(
        add({.kind = YamlNode::Kind::kSequence, .line = line(mark), .tag = tag}, anchor));
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_.push_back(add({.kind = YamlNode::Kind::kMap, .line = line(mark), .tag = tag}, anchor));
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  static std::uint32_t line(const YAML::Mark& mark) {
    return mark.line < 0 ? 1 : static_cast<std::uint32_t>(mark.line + 1);
  }

  std::uint32_t add(YamlNode node, YAML::anchor_t anchor) {
    const auto index = static_cast<std::uint32_t>(tree.nodes.size());
    tree.nodes.push_back(std::move(node));
    if (anchor != YAML::NullAnchor) anchors_[anchor] = index;
    attach(index);
    return index;
  }
  void attach(std::uint32_t index) {
    if (open_.empty()) {
      tree.documents.push_back(index);
    } else {
      tree.nodes[open_.back()].children.push_back(index);
    }
  }

  std::vector<std::uint32_t> open_;
  std::unordered_map<YAML::anchor_t, std::uint32_t> anchors_;
};

}  // namespace

Parsed<YamlTree> read_yaml(std::string_view text, std::string_view file) {
  const std::string where(file);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder builder;
    for (std::optional<int> before; parser.HandleNextDocument(builder);
         before = builder.document_at) {
      // Stray "," or "}" between documents: the parser reports an empty document and does not move.
      if (builder.document_at != before) continue;
      const std::uint32_t line = builder.tree.nodes.empty() ? 1 : builder.tree.nodes.back().line;
      return problem(where + ":" + std::to_string(line) + ": document: YAML: unexpected character");
    }
    return std::move(builder.tree);
  } catch (const YAML::Exception& error) {
    const int line = error.mark.line < 0 ? 1 : error.mark.line + 1;
    return problem(where + ":" + std::to_string(line) + ": document: YAML: " + error.msg);
  } catch (const std::exception& error) {
    return problem(where + ":1: document: " + error.what());
  }
}

}  // namespace weft::source
