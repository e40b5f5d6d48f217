#include "mesh/labels.h"
