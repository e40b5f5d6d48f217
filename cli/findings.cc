#include "cli/findings.h"

#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>

namespace weft::cli {

int report(const Context& context, const std::vector<Finding>& findings) {
  using Json = nlohmann::json;
  bool bad = false;
  Json json = Json::array();
  std::string group, text;
  for (const auto& f : findings) {
    bad = bad || f.verdict == Verdict::kBad;
    const char* word = f.verdict == Verdict::kGood      ? "ok"
                       : f.verdict == Verdict::kWarning ? "warning"
                                                        : "failed";
    json.push_back({{"group", f.group},
                    {"check", f.what},
                    {"result", word},
                    {"hint", f.verdict == Verdict::kGood ? "" : f.hint}});
    if (group != f.group)
      text += fmt::format("{}{}\n{}\n", group.empty() ? "" : "\n", f.group,
                          std::string(std::strlen(f.group), '-'));
    group = f.group;
    text += fmt::format("{} {}\n",
                        f.verdict == Verdict::kGood      ? "√"
                        : f.verdict == Verdict::kWarning ? "‼"
                                                         : "×",
                        f.what);
    if (f.verdict != Verdict::kGood) text += fmt::format("    {}\n", f.hint);
  }
  if (context.json())
    print(Json{{"ok", !bad}, {"checks", json}}.dump(2) + "\n");
  else
    print(text + fmt::format("\nStatus check results are {}\n", bad ? "×" : "√"));
  return bad ? kFailure : kOk;
}

}  // namespace weft::cli
