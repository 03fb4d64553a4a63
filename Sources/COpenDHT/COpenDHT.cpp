#include "copendht.h"

#include <algorithm>
#include <opendht/dhtrunner.h>

unsigned copendht_good_nodes(dht_runner *runner)
{
    // What the C interface hands out is the C++ object.
    auto *object = reinterpret_cast<dht::DhtRunner *>(runner);
    return std::max(
        object->getNodesStats(AF_INET).good_nodes, object->getNodesStats(AF_INET6).good_nodes);
}
