#include "mesh/identity.h"
