#include "agent/objects.h"

#include "source/core.h"
#include "source/files.h"
#include "source/kube/source.h"

namespace weft::agent {

namespace {

Parsed<std::unique_ptr<source::Source>> named(Problem bad) { return problem("--source: " + bad.text); }

Parsed<std::unique_ptr<source::Source>> from_kubernetes(const Config& config) {
  auto access = source::kube::find_access(config.kubeconfig);
  if (!access) return named(access.error());
  auto opened = source::kube::KubeSource::open({.access = std::move(*access),
                                                .resources = source::kube::node_resources(config.node),
                                                .admit = source::admit_core});
  if (!opened) return named(opened.error());
  return std::move(*opened);
}

}  // namespace

Parsed<std::unique_ptr<source::Source>> open_objects(const Config& config) {
  if (config.source_directory.empty()) return from_kubernetes(config);
  auto opened = source::FilesSource::open({.directory = config.source_directory, .admit = source::admit_core});
  if (!opened) return std::unexpected(opened.error());
  return std::move(*opened);
}

}  // namespace weft::agent
