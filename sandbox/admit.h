// What an API server does to a manifest before it is stored: defaults, checks, allocation, and the
// merge with what was there. The texts of refusals are Kubernetes'. No I/O; the store is only read.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "sandbox/address.h"
#include "sandbox/store.h"

namespace weft::sandbox {

enum class Verb { kCreated, kConfigured, kUnchanged };
const char* to_string(Verb verb);

class Admission {
 public:
  explicit Admission(const Store& store);
  ~Admission();

  // `given`: one manifest, namespace filled in. `origin` ("file:line") starts the text of a refusal
  // where it helps. Gives the object to store.
  Parsed<Verb> admit(const nlohmann::json& given, const std::string& origin, nlohmann::json& out);
  // The object is gone: what was applied is forgotten.
  void forget(const Key& key);

 private:
  Parsed<void> fill_service(nlohmann::json& service, const nlohmann::json* old);

  const Store& store_;
  ServicePool services_;
  std::map<Key, nlohmann::json> applied_;  // the manifest as last given, for the merge
};

}  // namespace weft::sandbox
