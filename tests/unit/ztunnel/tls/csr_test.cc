#include "ztunnel/tls/csr.h"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include "ztunnel/tls/x509.h"

namespace weft::tls {
namespace {

TEST(CertificateRequest, IsWhatIstioAsksFor) {
  const auto made = make_certificate_request({"td", "n", "s"});
  ASSERT_TRUE(made.has_value());
  EXPECT_TRUE(made->key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));  // PKCS#8
  BioPtr bio = memory_bio(made->csr_pem);
  X509_REQ* request = PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr);
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(X509_NAME_entry_count(X509_REQ_get_subject_name(request)), 0);
  EXPECT_EQ(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
  EXPECT_EQ(X509_REQ_get_signature_nid(request), NID_ecdsa_with_SHA256);
  char group[32] = {};
  EVP_PKEY_get_group_name(X509_REQ_get0_pubkey(request), group, sizeof group, nullptr);
  EXPECT_STREQ(group, "prime256v1");

  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request);
  ASSERT_EQ(sk_X509_EXTENSION_num(extensions), 1);
  X509_EXTENSION* extension = sk_X509_EXTENSION_value(extensions, 0);
  EXPECT_EQ(OBJ_obj2nid(X509_EXTENSION_get_object(extension)), NID_subject_alt_name);
  EXPECT_EQ(X509_EXTENSION_get_critical(extension), 1);
  auto* names = static_cast<GENERAL_NAMES*>(X509V3_EXT_d2i(extension));
  ASSERT_EQ(sk_GENERAL_NAME_num(names), 1);
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, 0);
  ASSERT_EQ(name->type, GEN_URI);
  const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)), ASN1_STRING_length(uri)), "spiffe://td/ns/n/sa/s");
  GENERAL_NAMES_free(names);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  X509_REQ_free(request);
}

TEST(CertificateRequest, EachHasItsOwnKey) {
  const auto one = make_certificate_request({"td", "n", "s"});
  const auto two = make_certificate_request({"td", "n", "s"});
  ASSERT_TRUE(one.has_value());
  ASSERT_TRUE(two.has_value());
  EXPECT_NE(one->key_pem, two->key_pem);
}

}  // namespace
}  // namespace weft::tls
