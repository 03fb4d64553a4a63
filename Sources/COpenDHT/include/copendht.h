// The C interface of OpenDHT (GPL-3.0-or-later; linked by rowctl-dht alone), and what it lacks.

#ifndef COPENDHT_H
#define COPENDHT_H

#include <opendht/opendht_c.h>

#ifdef __cplusplus
extern "C" {
#endif

/// How many nodes have answered a short while ago, over IPv4 or IPv6, whichever has more.
unsigned copendht_good_nodes(dht_runner *_Nonnull runner);

#ifdef __cplusplus
}
#endif

#endif
