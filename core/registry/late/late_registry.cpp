// make_registry() for a program that seldom pulls: the dynamic linker needs 5 ms for Poco and OpenSSL, more than a
// container takes to start, so they come with a module at the first pull. What links the library keeps the client
// linked in.

#include <dlfcn.h>

#include "core/base/error.hpp"
#include "core/host/directories.hpp"
#include "core/registry/registry.hpp"

namespace locald::registry {

std::unique_ptr<Registry> make_registry(const ClientOptions& options) {
    using Make = Registry* (*)(const ClientOptions*);
    const std::string own = host::own_executable();
    const std::string path = own.substr(0, own.rfind('/') + 1) + "../lib/locald/locald-registry.so";
    // Never closed: what it made lives as long as the program.
    void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
        throw Error(ErrorKind::not_found, std::string("load the registry client: ") + ::dlerror())
            .with_remedy("install locald with its lib/locald beside bin, or build it again");
    }
    const auto make = reinterpret_cast<Make>(::dlsym(module, "locald_registry_make"));
    if (make == nullptr) throw Error(ErrorKind::corrupt, "load the registry client from " + path + ": " + ::dlerror());
    return std::unique_ptr<Registry>(make(&options));
}

}  // namespace locald::registry
