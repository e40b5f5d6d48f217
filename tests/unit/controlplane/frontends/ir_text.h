// The model as text that people read in golden files. Everything that is not its default is there.
#pragma once

#include <string>

#include "controlplane/model/authn.h"
#include "controlplane/model/decoded.h"
#include "controlplane/model/destinations.h"
#include "controlplane/model/gateways.h"
#include "controlplane/model/routes.h"
#include "source/object.h"

namespace weft::controlplane {

std::string text_of(const model::HttpRule& rule);
std::string text_of(const model::RouteTable& table);
std::string text_of(const model::Destination& destination);
std::string text_of(const model::ExternalService& service);
std::string text_of(const model::Gateway& gateway);
std::string text_of(const model::GatewayClass& one);
std::string text_of(const model::ReferenceGrant& grant);
std::string text_of(const model::AuthzPolicy& policy);
std::string text_of(const model::RequestAuthn& authn);
std::string text_of(const model::Telemetry& telemetry);

// Decodes an object of any kind that a front end knows: its values, notes and conditions, or
// "refused: …".
std::string decoded_text(const source::Object& object);

}  // namespace weft::controlplane
