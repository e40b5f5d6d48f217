#include "ztunnel/state/store.h"

#include <gtest/gtest.h>

#include <deque>

namespace weft::state {
namespace {

// A main thread that runs what was posted when told to.
struct Posts {
  std::deque<std::function<void()>> acts;
  Store::Schedule schedule() {
    return [this](std::function<void()> act) { acts.push_back(std::move(act)); };
  }
  void run() {
    while (!acts.empty()) {
      auto act = std::move(acts.front());
      acts.pop_front();
      act();
    }
  }
};

mesh::WorkloadPtr workload(const std::string& uid, const char* ip = "10.0.0.1") {
  auto out = std::make_shared<mesh::Workload>();
  out->uid = uid;
  out->addresses.push_back(*IpAddress::parse(ip));
  return out;
}
mesh::PolicyPtr policy(const std::string& name) {
  auto out = std::make_shared<mesh::Policy>();
  out->ns = "ns";
  out->name = name;
  return out;
}
Edits with_workload(mesh::WorkloadPtr workload) {
  Edits out;
  out.workloads.push_back(std::move(workload));
  return out;
}

TEST(Store, EditsOfOneTurnAreOneSnapshot) {
  Posts posts;
  Store store("", posts.schedule());
  std::vector<std::uint64_t> seen;
  store.subscribe([&](const SnapshotPtr& snapshot) { seen.push_back(snapshot->generation()); });
  store.apply(with_workload(workload("a", "10.0.0.1")));
  store.apply(with_workload(workload("b", "10.0.0.2")));
  EXPECT_EQ(store.generation(), 0u);
  posts.run();
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{0, 1}));
  EXPECT_TRUE(store.current()->workload_by_uid("a"));
  EXPECT_TRUE(store.current()->workload_by_uid("b"));
}

TEST(Store, AnEarlierSnapshotNeverChanges) {
  Posts posts;
  Store store("", posts.schedule());
  store.apply(with_workload(workload("a")));
  store.flush();
  const auto before = store.current();
  Edits edits;
  edits.removed_addresses.push_back("a");
  store.apply(std::move(edits));
  store.flush();
  EXPECT_TRUE(before->workload_by_uid("a"));
  EXPECT_FALSE(store.current()->workload_by_uid("a"));
}

TEST(Store, ARemovalAndAnAdditionOfOneNameLeaveTheAddition) {
  Posts posts;
  Store store("", posts.schedule());
  Edits edits = with_workload(workload("a"));
  edits.removed_addresses.push_back("a");
  store.apply(std::move(edits));
  store.flush();
  EXPECT_TRUE(store.current()->workload_by_uid("a"));
}

TEST(Store, PoliciesComeAndGo) {
  Posts posts;
  Store store("", posts.schedule());
  Edits edits;
  edits.policies = {policy("p"), policy("q")};
  store.apply(std::move(edits));
  store.flush();
  EXPECT_EQ(store.current()->world().policies.size(), 2u);
  Edits removal;
  removal.removed_policies.push_back("ns/p");
  store.apply(std::move(removal));
  store.flush();
  EXPECT_EQ(store.current()->world().policies.count("ns/q"), 1u);
  EXPECT_EQ(store.current()->world().policies.size(), 1u);
}

TEST(Store, NothingNewPublishesNothing) {
  Posts posts;
  Store store("", posts.schedule());
  store.apply({});
  store.flush();
  EXPECT_EQ(store.generation(), 0u);
  EXPECT_TRUE(posts.acts.empty());
  store.apply(with_workload(workload("a")));
  store.flush();
  posts.run();  // the scheduled flush finds nothing
  EXPECT_EQ(store.generation(), 1u);
}

TEST(SnapshotRef, AWatcherMayLeaveWhileItIsCalled) {
  SnapshotRef ref;
  int first = 0;
  int second = 0;
  std::uint64_t id = 0;
  id = ref.watch([&](const SnapshotPtr&) {
    ++first;
    ref.unwatch(id);
  });
  ref.watch([&](const SnapshotPtr&) { ++second; });
  ref.set(mesh::Snapshot::build({}, 1, ""));
  ref.set(mesh::Snapshot::build({}, 2, ""));
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
  EXPECT_EQ(ref.get()->generation(), 2u);
}

}  // namespace
}  // namespace weft::state
