// The loadable module: the registry client with all it links, behind one symbol.

#include "core/registry/client.hpp"

extern "C" __attribute__((visibility("default"))) locald::registry::Registry* locald_registry_make(
    const locald::registry::ClientOptions* options) {
    return new locald::registry::Client(*options);
}
