#include "controlplane/ca/authority.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "controlplane/ca/files.h"
#include "controlplane/ca/x509.h"

namespace weft::controlplane::ca {
namespace {

constexpr auto kRootLife = std::chrono::hours(24 * 3650);
constexpr auto kBackdateMax = std::chrono::seconds(60);
constexpr std::size_t kRequestBytesMax = 16 * 1024;  // an RSA 8192 request has some 3 KiB

Lifetime lifetime(WallClock::time_point now, std::chrono::seconds life, x509_st* signer) {
  const auto backdate = std::min<std::chrono::seconds>(life / 10, kBackdateMax);
  return {std::max(now - backdate, not_before(signer)), std::min(now + life, not_after(signer))};
}

}  // namespace

const char* to_string(Phase phase) {
  switch (phase) {
    case Phase::kSteady:
      return "A";
    case Phase::kTrustNew:
      return "A+B";
    case Phase::kSignNew:
      return "A+B signing B";
  }
  return "?";
}

struct Authority::State {
  struct Root {
    int number = 0;
    Key key;
    Cert cert;                        // the signer
    std::vector<Cert> intermediates;  // signer included, when it is not self-signed
    std::vector<Cert> anchors;        // self-signed
    bool given = false;
  };
  AuthorityOptions options;
  Phase phase = Phase::kSteady;
  WallClock::time_point since;
  std::vector<Root> roots;  // one, or two while rotating: old, new

  std::string path(const std::string& name) const { return options.state_dir + "/" + name; }
  std::string root_path(int number, const char* what) const {
    return path("root-" + std::to_string(number) + "-" + what + ".pem");
  }
  const Root& signer() const { return phase == Phase::kSignNew ? roots.back() : roots.front(); }

  // The signer's comes first: readers see by the file that another root signs now, and renew what
  // the old one signed before it goes.
  std::string bundle() const {
    std::string out;
    const auto append = [&out](const Root& root) {
      for (const Cert& anchor : root.anchors) out += cert_pem(anchor.get());
    };
    append(signer());
    for (const Root& root : roots) {
      if (&root != &signer()) append(root);
    }
    return out;
  }

  std::optional<Problem> adopt(int number, const std::string& cert_text,
                               const std::string& key_text, bool given);
  std::optional<Problem> make(int number, WallClock::time_point now);
  std::optional<Problem> load(const std::string& json_text);
  std::optional<Problem> save() const;
  std::optional<Problem> enter(Phase next, WallClock::time_point now);
};

// Puts a root (given or read back) among ours.
std::optional<Problem> Authority::State::adopt(int number, const std::string& cert_text,
                                               const std::string& key_text, bool given) {
  auto certs = parse_certs(cert_text);
  if (!certs) return certs.error();
  auto key = parse_key(key_text);
  if (!key) return key.error();
  Root root{.number = number, .key = std::move(*key), .given = given};
  if (!matches(certs->front().get(), root.key.get()))
    return Problem{"the root's key does not belong to its certificate"};
  for (std::size_t i = 0; i < certs->size(); ++i) {
    auto copy = parse_certs(cert_pem((*certs)[i].get()));
    if (i == 0) root.cert = std::move(copy->front());
    ((is_self_signed((*certs)[i].get())) ? root.anchors : root.intermediates)
        .push_back(std::move((*certs)[i]));
  }
  if (root.anchors.empty()) return Problem{"the root's file holds no self-signed certificate"};
  roots.push_back(std::move(root));
  return std::nullopt;
}

std::optional<Problem> Authority::State::make(int number, WallClock::time_point now) {
  const Key key = make_key();
  const Cert cert = make_root(key.get(), options.trust_domain, now - kBackdateMax, now + kRootLife);
  const std::string cert_text = cert_pem(cert.get()), key_text = key_pem(key.get());
  if (auto bad = write_file(root_path(number, "key"), key_text)) return bad;
  if (auto bad = write_file(root_path(number, "cert"), cert_text)) return bad;
  return adopt(number, cert_text, key_text, false);
}

std::optional<Problem> Authority::State::load(const std::string& json_text) {
  const auto json = nlohmann::json::parse(json_text, nullptr, false);
  if (!json.is_object() || !json.contains("roots") || !json["roots"].is_array() ||
      json["roots"].empty() || json["roots"].size() > 2) {
    return Problem{path("ca.json") + ": not a state of this CA"};
  }
  const int number = json.value("phase", 0);
  phase = number == 1 ? Phase::kTrustNew : number == 2 ? Phase::kSignNew : Phase::kSteady;
  since = WallClock::from_time_t(json.value("since", std::int64_t{0}));
  for (const auto& entry : json["roots"]) {
    const int root = entry.value("number", 1);
    const auto cert = read_file(root_path(root, "cert"));
    const auto key = read_file(root_path(root, "key"));
    if (!cert) return cert.error();
    if (!key) return key.error();
    if (auto bad = adopt(root, *cert, *key, entry.value("given", false))) return bad;
  }
  if ((phase == Phase::kSteady) != (roots.size() == 1))
    return Problem{path("ca.json") + ": phase and roots do not fit"};
  return std::nullopt;
}

std::optional<Problem> Authority::State::save() const {
  nlohmann::json json{{"phase", static_cast<int>(phase)},
                      {"since", WallClock::to_time_t(since)},
                      {"roots", nlohmann::json::array()}};
  for (const Root& root : roots)
    json["roots"].push_back({{"number", root.number}, {"given", root.given}});
  if (auto bad = write_file(path("ca.json"), json.dump() + "\n")) return bad;
  return write_file(path("root-cert.pem"), bundle(), 0644);
}

std::optional<Problem> Authority::State::enter(Phase next, WallClock::time_point now) {
  const Phase before = phase;
  const auto since_before = since;
  phase = next;
  since = now;
  std::optional<Root> old;
  if (next == Phase::kSteady && roots.size() == 2) {
    old = std::move(roots.front());
    roots.erase(roots.begin());
  }
  auto bad = save();
  if (!bad) return std::nullopt;
  phase = before;
  since = since_before;
  if (old) roots.insert(roots.begin(), std::move(*old));
  return bad;
}

Authority::Authority(std::unique_ptr<State> state) : state_(std::move(state)) {}
Authority::~Authority() = default;

Parsed<std::unique_ptr<Authority>> Authority::open(AuthorityOptions options,
                                                   WallClock::time_point now) {
  if (options.certificate_ttl <= std::chrono::seconds(0) || options.certificate_ttl > kTtlMax)
    return problem("certificate TTL must be above 0 and at most 24h");
  if (options.root_cert.empty() != options.root_key.empty())
    return problem("a given root needs its certificate and its key");
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  if (auto bad = make_directory(state->options.state_dir)) return std::unexpected(*bad);
  std::string given_cert, given_key;
  if (!state->options.root_cert.empty()) {
    auto cert = read_file(state->options.root_cert);
    if (!cert) return std::unexpected(cert.error());
    auto key = read_file(state->options.root_key);
    if (!key) return std::unexpected(key.error());
    given_cert = *cert;
    given_key = *key;
  }
  if (const auto saved = read_file(state->path("ca.json"))) {
    if (auto bad = state->load(*saved)) return std::unexpected(*bad);
    auto given = parse_certs(given_cert);
    if (given && fingerprint(given->front().get()) != fingerprint(state->signer().cert.get())) {
      return problem("the given root is not the one in " + state->options.state_dir +
                     ": empty that directory to change it");
    }
  } else if (!given_cert.empty()) {
    if (auto bad = state->adopt(1, given_cert, given_key, true)) return std::unexpected(*bad);
    if (auto bad = write_file(state->root_path(1, "key"), given_key)) return std::unexpected(*bad);
    if (auto bad = write_file(state->root_path(1, "cert"), given_cert))
      return std::unexpected(*bad);
    state->since = now;
  } else {
    if (auto bad = state->make(1, now)) return std::unexpected(*bad);
    state->since = now;
  }
  if (now >= not_after(state->signer().cert.get())) return problem("the root has expired");
  if (auto bad = state->save()) return std::unexpected(*bad);
  return std::unique_ptr<Authority>(new Authority(std::move(state)));
}

Parsed<Issued> Authority::issue(const std::string& csr_pem, const mesh::Identity& identity,
                                std::int64_t asked_seconds, WallClock::time_point now) {
  if (csr_pem.size() > kRequestBytesMax) return problem("csr: is longer than 16 KiB");
  auto asked = parse_request(csr_pem);
  if (!asked) return std::unexpected(asked.error());
  if (asked->uris.size() != 1 || !asked->other_names.empty())
    return problem("csr: must name exactly one identity, as a URI");
  if (asked->uris.front() != identity.str()) {
    const bool shown = mesh::Identity::parse(asked->uris.front()).has_value();  // it ends in a log
    return problem("csr: names " + (shown ? asked->uris.front() : "no workload's identity") +
                   ", granted is " + identity.str());
  }
  std::lock_guard lock(mutex_);
  const State::Root& root = state_->signer();
  auto life = state_->options.certificate_ttl;
  if (asked_seconds > 0) life = std::min(life, std::chrono::seconds(asked_seconds));
  const Lifetime span = lifetime(now, life, root.cert.get());
  const Cert cert =
      make_leaf({root.cert.get(), root.key.get()}, asked->request.get(), identity, span);
  Issued out{.chain = {cert_pem(cert.get())},
             .roots = state_->bundle(),
             .not_before = span.from,
             .not_after = span.until};
  for (const Cert& one : root.intermediates) out.chain.push_back(cert_pem(one.get()));
  return out;
}

Parsed<Authority::Minted> Authority::mint(const mesh::Identity& identity,
                                          WallClock::time_point now) {
  const Key key = make_key();
  const auto issued = issue(make_request(key.get(), identity), identity, 0, now);
  if (!issued) return std::unexpected(issued.error());
  Minted out{.key = key_pem(key.get()), .chain = "", .roots = issued->roots};
  for (const std::string& pem : issued->chain) out.chain += pem;
  return out;
}

Parsed<Serving> Authority::serve(const std::vector<std::string>& dns,
                                 const std::vector<std::string>& ips, WallClock::time_point now) {
  std::lock_guard lock(mutex_);
  Serving out{.chain_path = state_->path("serving-cert.pem"),
              .key_path = state_->path("serving-key.pem")};
  Parsed<Key> key = problem("none yet");
  if (const auto kept = read_file(out.key_path)) key = parse_key(*kept);
  if (!key) {
    key = make_key();
    if (auto bad = write_file(out.key_path, key_pem(key->get()))) return std::unexpected(*bad);
  }
  const State::Root& root = state_->signer();
  const Lifetime span = lifetime(now, kTtlMax, root.cert.get());
  const Cert cert = make_serving({root.cert.get(), root.key.get()}, key->get(), dns, ips, span);
  std::string chain = cert_pem(cert.get());
  for (const Cert& one : root.intermediates) chain += cert_pem(one.get());
  if (auto bad = write_file(out.chain_path, chain)) return std::unexpected(*bad);
  out.not_before = span.from;
  out.not_after = span.until;
  return out;
}

std::optional<Problem> Authority::reload() {
  std::lock_guard lock(mutex_);
  auto next = std::make_unique<State>();
  next->options = state_->options;
  const auto saved = read_file(next->path("ca.json"));
  if (!saved) return saved.error();
  if (auto bad = next->load(*saved)) return bad;
  state_ = std::move(next);
  return std::nullopt;
}

Parsed<Phase> Authority::rotate(WallClock::time_point now) {
  std::lock_guard lock(mutex_);
  std::optional<Problem> bad;
  switch (state_->phase) {
    case Phase::kSteady:
      if (state_->roots.front().given)
        return problem("the root was given by --root-cert: rotate it where it comes from");
      bad = state_->make(state_->roots.front().number + 1, now);
      if (!bad) bad = state_->enter(Phase::kTrustNew, now);
      if (bad && state_->roots.size() == 2) state_->roots.pop_back();
      break;
    case Phase::kTrustNew:
      bad = state_->enter(Phase::kSignNew, now);
      break;
    case Phase::kSignNew:
      bad = state_->enter(Phase::kSteady, now);
      break;
  }
  if (bad) return std::unexpected(*bad);
  return state_->phase;
}

bool Authority::tick(WallClock::time_point now) {
  std::lock_guard lock(mutex_);
  if (state_->phase == Phase::kSteady || now < state_->since + state_->options.certificate_ttl)
    return false;
  return !state_->enter(state_->phase == Phase::kTrustNew ? Phase::kSignNew : Phase::kSteady, now);
}

CaInfo Authority::info() const {
  std::lock_guard lock(mutex_);
  CaInfo out{.phase = state_->phase, .since = state_->since};
  for (const State::Root& root : state_->roots) {
    out.roots.push_back({root.number, fingerprint(root.cert.get()), not_before(root.cert.get()),
                         not_after(root.cert.get()), &root == &state_->signer()});
  }
  return out;
}

std::string Authority::bundle() const {
  std::lock_guard lock(mutex_);
  return state_->bundle();
}
std::string Authority::bundle_path() const { return state_->path("root-cert.pem"); }

}  // namespace weft::controlplane::ca
