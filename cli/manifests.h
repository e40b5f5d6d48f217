// Manifests that a person gives: a file, a directory, or - for stdin.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/object.h"

namespace weft::cli {

struct Manifest {
  source::ObjectPtr object;
  nlohmann::json body;  // the namespace filled in
};

// In the order given; a directory's files by name. Refused: what cannot be read or parsed, with
// file and line; nothing at all.
Parsed<std::vector<Manifest>> read_manifests(const std::vector<std::string>& paths,
                                             const std::string& default_namespace);

// Everything in a sandbox's store, by what it is: an object's origin is "KIND NAMESPACE/NAME",
// never a file of the store.
Parsed<source::ObjectSet> read_stored(const std::string& directory);
std::string shown(const source::ObjectKey& key);  // "VirtualService default/reviews"

// What the control plane would refuse about a mesh object, with file, line, field and value: the
// sandbox's stand-in for an admission webhook. Pure.
Parsed<void> judge(const source::Object& object);

// What is right about an object but not supported yet, deprecated, or of a kind that a sandbox does
// nothing with, one line each, as an admission webhook's warnings. Pure.
std::vector<std::string> warnings(const source::ObjectPtr& object);

}  // namespace weft::cli
