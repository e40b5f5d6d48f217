// Kinds of the meshes' APIs and the versions that Kubernetes ever served of them: what a manifest
// may name. Says nothing about what is done with them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weft::source {

struct Kind {
  std::string_view group, kind;
  std::string_view versions;  // "v1 v1beta1", newest first
};
std::span<const Kind> mesh_kinds();
bool is_mesh_group(std::string_view group);

// Why nothing can be of this apiVersion and kind: a group of a mesh without that kind or version,
// with what was probably meant. "" for every other group.
std::string why_no_kind(std::string_view api_version, std::string_view kind);

// "split.smi-spec.io/v1alpha4, split.smi-spec.io/v1alpha3 …": what serves a kind; "" when nothing.
std::string api_versions_of(std::string_view kind);

}  // namespace weft::source
