#include "mesh/policy.h"
