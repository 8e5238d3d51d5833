// make_ssh_runtime() for a program that seldom needs it: the dynamic linker would take milliseconds for libssh2 and
// OpenSSL at every start. What links the library keeps the backend linked in.

#include <dlfcn.h>

#include "backends/ssh/ssh_runtime.hpp"
#include "core/base/error.hpp"
#include "core/host/directories.hpp"

namespace locald::backends {

std::unique_ptr<runtime::ContainerRuntime> make_ssh_runtime(const runtime::RuntimeChoice& choice) {
    using Make = runtime::ContainerRuntime* (*)(const runtime::RuntimeChoice*);
    const std::string own = host::own_executable();
    const std::string path = own.substr(0, own.rfind('/') + 1) + "../lib/locald/locald-ssh.so";
    // Never closed: what it made lives as long as the program.
    void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
        throw Error(ErrorKind::not_found, std::string("load the SSH client: ") + ::dlerror())
            .with_remedy("install locald with its lib/locald beside bin, or build it again");
    }
    const auto make = reinterpret_cast<Make>(::dlsym(module, "locald_ssh_make"));
    if (make == nullptr) throw Error(ErrorKind::corrupt, "load the SSH client from " + path + ": " + ::dlerror());
    return std::unique_ptr<runtime::ContainerRuntime>(make(&choice));
}

}  // namespace locald::backends
