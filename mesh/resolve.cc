#include "mesh/resolve.h"
