// CRDs of others (Gateway API's, Istio's) that the mesh's L7 needs: where they are read from, and
// what becomes of each when the cluster has one already. Pure but for reading files.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace weft::cli {

// CustomResourceDefinitions in the YAML files of `path` (one file, or a directory and those below
// it), by name. Other kinds pass by. Errors name file and line.
Parsed<std::vector<nlohmann::json>> read_crds(const std::string& path);

// Where a release has them, beside this program: ../share/weft/crds. Empty: it has none.
std::string crds_beside_us();

enum class CrdVerdict : std::uint8_t {
  kMissing,  // to be installed
  kOurs,     // weftctl installed it: to be brought up to date
  kSame,     // others' of this version: left alone
  kOlder,    // others', older: left alone, and said
  kNewer,    // newer than ours: refused
  kChannel,  // of another channel (experimental): refused
};
struct CrdPlan {
  CrdVerdict verdict;
  std::string ours, theirs;  // versions, where they say one
};
// `theirs` null: the cluster has none. Versions are those of Gateway API's annotations; Istio's
// CRDs have none, and count as the same.
CrdPlan plan_crd(const nlohmann::json& ours, const nlohmann::json& theirs);

// "v1.4.1" against "v1.10.0", as numbers; -1, 0, 1. A suffix ("-rc.1") is older than none.
int compare_versions(const std::string& a, const std::string& b);

}  // namespace weft::cli
