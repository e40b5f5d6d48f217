// ObjectStatus → the status that an API's readers expect: Istio's conditions and
// validationMessages, Gateway API's parents and listeners. Pure.
// Source: mesh-apis facts §2.1, §2.2.
#pragma once

#include "controlplane/deploy/outcome.h"
#include "controlplane/translate/outputs.h"

namespace weft::controlplane::deploy {

StatusPatch status_patch(const translate::ObjectStatus& status);

}  // namespace weft::controlplane::deploy
