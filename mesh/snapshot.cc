#include "mesh/snapshot.h"
