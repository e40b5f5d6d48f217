// Requests of an xDS client that may be anybody: any order of subscriptions, versions, nonces and
// refusals, while what it should have changes. A session never answers without end, and no answer
// both gives and takes away a name.
#include <algorithm>

#include "base/assert.h"
#include "controlplane/xds/ordered_session.h"

namespace {

using namespace weft::controlplane::xds;

// Takes the input apart, byte by byte; zeros behind its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  std::uint8_t byte() { return at_ == end_ ? 0 : *at_++; }
  bool empty() const { return at_ == end_; }
  std::string name() {
    constexpr const char* kNames[] = {"a", "b", "c", "*", "node:n", ""};
    return kNames[byte() % 6];
  }

 private:
  const std::uint8_t *at_, *end_;
};

constexpr const char* kTypes[] = {kClusterType,   kEndpointsType,   kSecretType,   kListenerType,
                                  kExtensionType, kScopedRouteType, "type.unknown"};

Request request(Input& input, const std::string& nonce) {
  Request out{.type = kTypes[input.byte() % 7]};
  const std::uint8_t what = input.byte();
  for (int i = 0; i < (what & 3); ++i) out.subscribe.push_back(input.name());
  for (int i = 0; i < ((what >> 2) & 3); ++i) out.unsubscribe.push_back(input.name());
  if ((what & 16) != 0) out.initial_versions[input.name()] = std::to_string(input.byte() % 4);
  if ((what & 32) != 0) out.nonce = (what & 128) != 0 ? "made up" : nonce;
  if ((what & 64) != 0) out.error = "no: " + input.name();
  if (input.byte() % 4 == 0) out.node_id = "waypoint~n/w";
  return out;
}

ResourcePtr resource(const char* type, const std::string& name, std::uint8_t version) {
  Resource out{.type = type, .name = name, .version = std::to_string(version % 4)};
  out.groups = {"node:n"};
  out.body = std::string(version % 64, 'x');
  return std::make_shared<const Resource>(std::move(out));
}

SnapshotPtr snapshot(Input& input) {
  if (input.byte() % 8 == 0) return nullptr;
  auto out = std::make_shared<Snapshot>();
  for (const char* type : kTypes) {
    for (const char* name : {"a", "b", "c"}) {
      const std::uint8_t version = input.byte();
      if (version % 3 != 0) out->types[type][name] = resource(type, name, version);
    }
  }
  return out;
}

// What waits is written; it must end.
template <class Session>
void drain(Session& session, std::string& nonce, std::string& type) {
  constexpr int kMost = 1000;
  int count = 0;
  while (const auto response = session.next()) {
    WEFT_ASSERT(++count < kMost);
    WEFT_ASSERT(!response->nonce.empty());
    for (const auto& one : response->resources)
      WEFT_ASSERT(std::find(response->removed.begin(), response->removed.end(), one->name) ==
                  response->removed.end());
    nonce = response->nonce;
    type = response->type;
  }
}

void ordered(Input input) {
  OrderedSession session;
  std::string nonce, type;
  while (!input.empty()) {
    if (input.byte() % 4 == 0) {
      session.want(snapshot(input));
    } else {
      const Request one = request(input, nonce);
      if (!session.receive(one)) return;
    }
    drain(session, nonce, type);
    (void)session.status();
    for (const char* each : kTypes) (void)session.leftovers(each);
  }
}

void plain(Input input) {
  Cache cache;
  Session session(cache, {kClusterType, kListenerType}, 128);
  std::string nonce, type;
  while (!input.empty()) {
    if (input.byte() % 4 == 0) {
      const char* of = input.byte() % 2 == 0 ? kClusterType : kListenerType;
      const std::string name = input.name();
      if (input.byte() % 3 == 0) {
        cache.apply({.upserts = {}, .removes = {{of, name}}});
      } else {
        cache.apply({.upserts = {resource(of, name, input.byte())}, .removes = {}});
      }
    } else {
      const Request one = request(input, nonce);
      if (!session.receive(one)) return;
    }
    drain(session, nonce, type);
    (void)session.status();
  }
  WEFT_ASSERT(!session.asks_too_much());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ordered({data, size});
  plain({data, size});
  return 0;
}
