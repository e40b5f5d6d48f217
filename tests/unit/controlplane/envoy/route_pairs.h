// tests/data/route_pairs: each file a VirtualService and an HTTPRoute that say the same.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace weft::controlplane {

namespace fs = std::filesystem;

inline std::string slurp(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The two halves of each file of the folder.
struct Pair {
  fs::path path;
  std::string istio, gateway;
};

inline std::vector<Pair> pairs() {
  std::vector<Pair> out;
  for (const auto& entry : fs::directory_iterator(WEFT_ROUTE_PAIRS_DIR)) {
    const auto yaml = slurp(entry.path());
    const auto middle = yaml.find("\n---\n");
    EXPECT_NE(middle, std::string::npos) << entry.path();
    if (middle != std::string::npos)
      out.push_back({entry.path(), yaml.substr(0, middle + 1), yaml.substr(middle + 5)});
  }
  EXPECT_GE(out.size(), 30u);
  return out;
}

inline Pair pair(const std::string& name) {
  for (const Pair& one : pairs()) {
    if (one.path.stem() == name) return one;
  }
  ADD_FAILURE() << "no pair is called " << name;
  return {};
}

}  // namespace weft::controlplane
