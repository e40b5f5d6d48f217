#include "controlplane/backends/envoy/wire.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <openssl/sha.h>

#include <array>
#include <cstdio>

#include "source/object.h"

namespace weft::controlplane::envoy {

std::string bytes_of(const google::protobuf::Message& message) {
  std::string out;
  google::protobuf::io::StringOutputStream raw(&out);
  {
    google::protobuf::io::CodedOutputStream coded(&raw);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return out;
}

void pack(const google::protobuf::Message& message, google::protobuf::Any& out) {
  out.set_type_url("type.googleapis.com/" + message.GetDescriptor()->full_name());
  out.set_value(bytes_of(message));
}

xds::ResourcePtr make_resource(const char* type, const std::string& name,
                               const google::protobuf::Message& message) {
  xds::Resource out{.type = type, .name = name, .body = bytes_of(message)};
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx",
                static_cast<unsigned long long>(source::path_hash(out.body)));
  out.version = text.data();
  return std::make_shared<const xds::Resource>(std::move(out));
}

void set_duration(std::chrono::milliseconds value, google::protobuf::Duration& out) {
  out.set_seconds(value.count() / 1000);
  out.set_nanos(static_cast<std::int32_t>(value.count() % 1000) * 1'000'000);
}

std::string fingerprint(const std::string& text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string out;
  for (std::size_t i = 0; i < 16; ++i) {
    std::array<char, 3> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x", digest[i]);
    out += hex.data();
  }
  return out;
}

}  // namespace weft::controlplane::envoy
