// Small things that every file of this room does with messages. Internal to the room.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>

#include <chrono>
#include <string>

#include "controlplane/xds/resource.h"
#include "envoy/config/core/v3/config_source.pb.h"

namespace weft::controlplane::envoy {

// Maps in key order: equal content, equal bytes.
std::string bytes_of(const google::protobuf::Message& message);
void pack(const google::protobuf::Message& message, google::protobuf::Any& out);
xds::ResourcePtr make_resource(const char* type, const std::string& name,
                               const google::protobuf::Message& message);
void set_duration(std::chrono::milliseconds value, google::protobuf::Duration& out);

// A source of configuration: the stream that everything comes by.
template <class ConfigSource>
void from_ads(ConfigSource& out) {
  out.mutable_ads();
  out.set_resource_api_version(::envoy::config::core::v3::ApiVersion::V3);
}

// The first 128 bits of SHA-256, in hex: a name that nobody can give to something else.
std::string fingerprint(const std::string& text);

}  // namespace weft::controlplane::envoy
