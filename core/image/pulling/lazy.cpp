#include <dlfcn.h>

#include <string>

#include "core/base/error.hpp"
#include "core/host/directories.hpp"
#include "core/image/puller.hpp"

namespace locald::image {

namespace {

/// Beside our own program, where a build has it, or where it was installed. Never a search path: what is loaded here
/// runs with our rights.
void* load_module() {
    const std::string own = host::own_executable();
    const std::string name = "locald-registry.so";
    std::string why;
    for (const std::string& path : {own.substr(0, own.rfind('/') + 1) + name, LOCALD_MODULE_DIR "/" + name}) {
        if (void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return module;
        why += (why.empty() ? "" : "; ") + std::string(::dlerror());
    }
    throw Error(ErrorKind::not_found, "load the registry client: " + why)
        .with_remedy("install locald with all its files, or build it: cmake --build --preset release");
}

}  // namespace

std::unique_ptr<Puller> make_puller() {
    void* const module = load_module();  // stays: code of a client's threads may still run at the end
    const auto make = reinterpret_cast<Puller* (*)()>(::dlsym(module, "locald_make_puller"));
    if (make == nullptr) {
        throw Error(ErrorKind::corrupt, "load the registry client: " + std::string(::dlerror()))
            .with_remedy("install locald and locald-registry.so from the same build");
    }
    return std::unique_ptr<Puller>(make());
}

}  // namespace locald::image
