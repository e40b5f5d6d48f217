#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/rsa.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "certificates.h"
#include "controlplane/ca/authority.h"
#include "controlplane/ca/files.h"

namespace weft::controlplane::ca {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;

const mesh::Identity kWeb{"cluster.local", "shop", "web"};

class Ca : public testing::Test {
 protected:
  Ca() {
    char name[] = "/tmp/weft-ca-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~Ca() override { fs::remove_all(root_); }
  std::unique_ptr<Authority> open(std::chrono::seconds ttl = 24h, const std::string& cert = "",
                                  const std::string& key = "") {
    auto opened = Authority::open({.state_dir = (root_ / "state").string(),
                                   .certificate_ttl = ttl,
                                   .root_cert = cert,
                                   .root_key = key},
                                  now_);
    EXPECT_TRUE(opened) << opened.error().text;
    return opened ? std::move(*opened) : nullptr;
  }
  fs::path root_;
  WallClock::time_point now_ = std::chrono::floor<std::chrono::seconds>(WallClock::now());
};

TEST_F(Ca, IssuesALeafThatVerifiesAndNamesTheIdentity) {
  auto authority = open();
  const auto issued = authority->issue(csr_for(kWeb.str()), kWeb, 86400, now_);
  ASSERT_TRUE(issued) << issued.error().text;
  ASSERT_EQ(issued->chain.size(), 1u);
  EXPECT_EQ(verify(issued->chain, issued->roots), "");
  const auto leaf = std::move(parse_certs(issued->chain[0])->front());
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(leaf.get(), NID_subject_alt_name, nullptr, nullptr));
  ASSERT_EQ(sk_GENERAL_NAME_num(names), 1);
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, 0);
  ASSERT_EQ(name->type, GEN_URI);
  EXPECT_STREQ(
      reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier)),
      "spiffe://cluster.local/ns/shop/sa/web");
  GENERAL_NAMES_free(names);
  EXPECT_EQ(X509_NAME_entry_count(X509_get_subject_name(leaf.get())), 0);
  EXPECT_EQ(X509_check_ca(leaf.get()), 0);
  EXPECT_EQ(X509_check_purpose(leaf.get(), X509_PURPOSE_SSL_CLIENT, 0), 1);
  EXPECT_EQ(X509_check_purpose(leaf.get(), X509_PURPOSE_SSL_SERVER, 0), 1);
}

TEST_F(Ca, MintsAKeyThatFitsItsChain) {
  auto authority = open();
  const auto minted = authority->mint(kWeb, now_);
  ASSERT_TRUE(minted) << minted.error().text;
  EXPECT_EQ(verify({minted->chain}, minted->roots), "");
  const auto key = parse_key(minted->key);
  ASSERT_TRUE(key);
  EXPECT_TRUE(matches(parse_certs(minted->chain)->front().get(), key->get()));
}

TEST_F(Ca, LifetimeIsBounded) {
  auto authority = open(1h);
  const std::pair<std::int64_t, std::chrono::seconds> rows[] = {
      {600, 600s}, {3600, 3600s}, {86400, 3600s}, {0, 3600s}, {-5, 3600s}, {20, 20s}, {1, 1s}};
  for (const auto& [asked, life] : rows) {
    const auto issued = authority->issue(csr_for(kWeb.str()), kWeb, asked, now_);
    ASSERT_TRUE(issued);
    EXPECT_EQ(issued->not_after - now_, life) << asked;
    EXPECT_LE(issued->not_before, now_) << asked;
    const auto half = issued->not_before + (issued->not_after - issued->not_before) / 2;
    EXPECT_GE(half + 1s, now_ + life * 2 / 5) << asked << ": half-life must not lie in the past";
  }
}

TEST_F(Ca, BadRequestsAreRefused) {
  auto authority = open();
  const Key key = make_key(), other = make_key();
  const Key weak(EVP_RSA_gen(1024)), odd(EVP_EC_gen("secp256k1"));
  const std::string uri = "URI:" + kWeb.str();
  struct Row {
    const char* name;
    std::string csr;
    const char* error;
  };
  const Row rows[] = {
      {"nothing", "", "not a PEM certificate request"},
      {"garbage", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
       "not a PEM certificate request"},
      {"signed by another key", make_csr(key.get(), uri, other.get()), "its signature is wrong"},
      {"no name", make_csr(key.get(), ""), "exactly one identity"},
      {"two names", make_csr(key.get(), uri + ",URI:spiffe://cluster.local/ns/shop/sa/db"),
       "exactly one identity"},
      {"a DNS name too", make_csr(key.get(), uri + ",DNS:evil.example"), "exactly one identity"},
      {"only a DNS name", make_csr(key.get(), "DNS:evil.example"), "exactly one identity"},
      {"another identity", make_csr(key.get(), "URI:spiffe://cluster.local/ns/shop/sa/db"),
       "granted is spiffe://cluster.local/ns/shop/sa/web"},
      {"another trust domain", make_csr(key.get(), "URI:spiffe://evil/ns/shop/sa/web"),
       "granted is"},
      {"a longer path", make_csr(key.get(), uri + "/x"), "granted is"},
      {"a long name that is none", make_csr(key.get(), "URI:" + std::string(9000, 'a')),
       "csr: names no workload's identity, granted is"},
      {"a longer one", make_csr(key.get(), "URI:" + std::string(20'000, 'a')),
       "longer than 16 KiB"},
      {"weak RSA", make_csr(weak.get(), uri), "the key must be"},
      {"odd curve", make_csr(odd.get(), uri), "the key must be"},
  };
  for (const Row& row : rows) {
    const auto issued = authority->issue(row.csr, kWeb, 600, now_);
    ASSERT_FALSE(issued) << row.name;
    EXPECT_THAT(issued.error().text, HasSubstr(row.error)) << row.name;
    EXPECT_LT(issued.error().text.size(), 512u) << row.name << ": it ends in a log";
  }
}

TEST_F(Ca, StateSurvivesARestart) {
  const std::string bundle = open()->bundle();
  EXPECT_EQ(open()->bundle(), bundle);
  struct stat status{};
  for (const char* name : {"root-1-key.pem", "root-1-cert.pem", "ca.json"}) {
    ASSERT_EQ(::stat((root_ / "state" / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
  EXPECT_EQ(*read_file((root_ / "state/root-cert.pem").string()), bundle);
}

TEST_F(Ca, RotationOverlapsSoThatNobodyIsEverRefused) {
  auto authority = open(1h);
  const auto before = authority->issue(csr_for(kWeb.str()), kWeb, 0, now_);
  ASSERT_EQ(*authority->rotate(now_), Phase::kTrustNew);
  const auto trusting = authority->issue(csr_for(kWeb.str()), kWeb, 0, now_);
  EXPECT_EQ(parse_certs(trusting->roots)->size(), 2u);
  EXPECT_EQ(verify(trusting->chain, before->roots), "")
      << "who trusts only A takes what is issued now";
  EXPECT_FALSE(authority->tick(now_ + 59min));
  EXPECT_TRUE(authority->tick(now_ + 61min));
  const auto later = now_ + 61min;
  const auto signing = authority->issue(csr_for(kWeb.str()), kWeb, 0, later);
  EXPECT_EQ(verify(signing->chain, trusting->roots, later), "") << "who trusts A+B takes B's leaf";
  EXPECT_EQ(verify(trusting->chain, signing->roots, now_), "") << "and A's leaf is still good";
  EXPECT_NE(verify(signing->chain, before->roots, later), "") << "B signs now";
  EXPECT_NE(signing->roots, trusting->roots) << "the file tells: renew what A signed";
  EXPECT_TRUE(authority->tick(later + 61min));
  const auto after = authority->issue(csr_for(kWeb.str()), kWeb, 0, later + 61min);
  EXPECT_EQ(authority->info().phase, Phase::kSteady);
  EXPECT_EQ(parse_certs(after->roots)->size(), 1u);
  EXPECT_EQ(verify(signing->chain, after->roots, later), "");
  EXPECT_EQ(*read_file(authority->bundle_path()), after->roots);
}

TEST_F(Ca, RotationGoesOnAfterARestart) {
  {
    auto authority = open(1h);
    ASSERT_TRUE(authority->rotate(now_));
  }
  auto authority = open(1h);
  EXPECT_EQ(authority->info().phase, Phase::kTrustNew);
  EXPECT_EQ(authority->info().roots.size(), 2u);
  EXPECT_EQ(*authority->rotate(now_), Phase::kSignNew);
  EXPECT_EQ(*authority->rotate(now_), Phase::kSteady);
  EXPECT_EQ(authority->info().roots.at(0).number, 2);
}

TEST_F(Ca, TakesAGivenRootAndAnIntermediate) {
  const Key root_key = make_key(), key = make_key();
  const Cert top = make_root(root_key.get(), "corp", now_ - 1h, now_ + 240h);
  // An intermediate: a root's extensions, signed by the root.
  Cert middle = make_root(key.get(), "middle", now_ - 1h, now_ + 10h);
  X509_set_issuer_name(middle.get(), X509_get_subject_name(top.get()));
  X509_sign(middle.get(), root_key.get(), EVP_sha256());
  const std::string cert_file = (root_ / "given.pem").string(),
                    key_file = (root_ / "given-key.pem").string();
  std::ofstream(cert_file) << cert_pem(middle.get()) << cert_pem(top.get());
  std::ofstream(key_file) << key_pem(key.get());
  auto authority = open(24h, cert_file, key_file);
  ASSERT_TRUE(authority);
  const auto issued = authority->issue(csr_for(kWeb.str()), kWeb, 0, now_);
  ASSERT_TRUE(issued) << issued.error().text;
  EXPECT_EQ(issued->chain.size(), 2u);
  EXPECT_EQ(issued->roots, cert_pem(top.get())) << "only the self-signed one is trusted";
  EXPECT_EQ(verify(issued->chain, issued->roots), "");
  EXPECT_EQ(issued->not_after, not_after(middle.get())) << "no leaf outlives its signer";
  EXPECT_FALSE(authority->rotate(now_));
  authority.reset();
  EXPECT_TRUE(open(24h, cert_file, key_file)) << "the same root again is fine";
  std::ofstream(cert_file) << cert_pem(top.get());
  std::ofstream(key_file) << key_pem(root_key.get());
  const auto other = Authority::open(
      {.state_dir = (root_ / "state").string(), .root_cert = cert_file, .root_key = key_file},
      now_);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().text, HasSubstr("is not the one in"));
}

TEST_F(Ca, WillNotStartOnNonsense) {
  struct Row {
    AuthorityOptions options;
    const char* error;
  };
  const std::string state = (root_ / "s").string(), junk = (root_ / "junk").string();
  std::ofstream(junk) << "junk";
  const Row rows[] = {
      {{.state_dir = state, .certificate_ttl = 25h}, "at most 24h"},
      {{.state_dir = state, .certificate_ttl = 0s}, "above 0"},
      {{.state_dir = state, .root_cert = junk}, "its key"},
      {{.state_dir = state, .root_cert = junk, .root_key = junk}, "no certificate"},
      {{.state_dir = state, .root_cert = "/nowhere", .root_key = junk},
       "/nowhere: open: No such file"},
  };
  for (const Row& row : rows) {
    const auto opened = Authority::open(row.options, now_);
    ASSERT_FALSE(opened) << row.error;
    EXPECT_THAT(opened.error().text, HasSubstr(row.error));
  }
  fs::create_directories(root_ / "broken");
  std::ofstream(root_ / "broken/ca.json") << "{]";
  EXPECT_THAT(Authority::open({.state_dir = (root_ / "broken").string()}, now_).error().text,
              HasSubstr("not a state of this CA"));
}

TEST_F(Ca, ServingCertificateNamesItsHostsAndKeepsItsKey) {
  auto authority = open();
  const auto one =
      authority->serve({"weft-controlplane.weft-system.svc"}, {"172.31.0.254", "::1"}, now_);
  ASSERT_TRUE(one);
  const std::string key = *read_file(one->key_path), first = *read_file(one->chain_path);
  const auto cert = std::move(parse_certs(first)->front());
  EXPECT_EQ(X509_check_host(cert.get(), "weft-controlplane.weft-system.svc", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(cert.get(), "172.31.0.254", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(cert.get(), "::1", 0), 1);
  EXPECT_EQ(verify({first}, authority->bundle()), "");
  ASSERT_TRUE(authority->serve({"x"}, {}, now_));
  EXPECT_EQ(*read_file(one->key_path), key);
  EXPECT_NE(*read_file(one->chain_path), first);
}

}  // namespace
}  // namespace weft::controlplane::ca
