// Shelf: certificates on disk. One file an identity, 0600, named by the SHA-256 of the identity, replaced atomically: key, chain and
// roots as PEM, separated by lines "# chain" and "# roots".
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "mesh/identity.h"

namespace weft::ca {

struct Stored {
  std::string key_pem, chain_pem, roots_pem;
};

// What can be read; files of another shape are skipped.
std::vector<Stored> read_shelf(const std::string& directory);
// Makes the directory (0700) when it is missing. Errors: kSystem.
Result<void> write_to_shelf(const std::string& directory, const mesh::Identity& identity, const Stored& stored);
void remove_from_shelf(const std::string& directory, const mesh::Identity& identity);

}  // namespace weft::ca
