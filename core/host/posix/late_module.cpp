#include "core/host/late_module.hpp"

#include <dlfcn.h>

#include "core/base/error.hpp"
#include "core/host/directories.hpp"

namespace locald::host {

void* load_from_module(const std::string& module, const char* name, const std::string& what) {
    const std::string own = own_executable();
    const std::string path = own.substr(0, own.rfind('/') + 1) + "../lib/locald/" + module + ".so";
    void* loaded = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (loaded == nullptr) {
        throw Error(ErrorKind::not_found, "load " + what + ": " + ::dlerror())
            .with_remedy("install locald with its lib/locald beside bin, or build it again");
    }
    void* found = ::dlsym(loaded, name);
    if (found == nullptr) throw Error(ErrorKind::corrupt, "load " + what + " from " + path + ": " + ::dlerror());
    return found;
}

}  // namespace locald::host
