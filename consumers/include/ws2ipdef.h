/* All that NDK needs of it is in ws2def.h. */
#include "ws2def.h"
