// make_registry() for a program that seldom pulls: the dynamic linker needs 5 ms for Poco and OpenSSL, more than a
// container takes to start, so they come with a module at the first pull. What links the library keeps the client
// linked in.

#include "core/host/late_module.hpp"
#include "core/registry/registry.hpp"

namespace locald::registry {

std::unique_ptr<Registry> make_registry(const ClientOptions& options) {
    using Make = Registry* (*)(const ClientOptions*);
    const auto make = reinterpret_cast<Make>(
        host::load_from_module("locald-registry", "locald_registry_make", "the registry client"));
    return std::unique_ptr<Registry>(make(&options));
}

}  // namespace locald::registry
