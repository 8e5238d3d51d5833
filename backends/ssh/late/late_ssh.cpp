// The SSH backend of the command. The dynamic linker would take milliseconds for libssh2 and OpenSSL at every start, so
// they come with a module, and only where a connection is made: by the process that keeps it. What links the library
// keeps the backend linked in.

#include <dlfcn.h>

#include <cstdlib>
#include <string_view>

#include "backends/remote/holder.hpp"
#include "backends/remote/remote_runtime.hpp"
#include "backends/ssh/ssh_runtime.hpp"
#include "core/base/error.hpp"
#include "core/host/directories.hpp"

namespace locald::backends {

namespace {

template <class Function>
Function symbol(const char* name) {
    const std::string own = host::own_executable();
    const std::string path = own.substr(0, own.rfind('/') + 1) + "../lib/locald/locald-ssh.so";
    // Never closed: what it made lives as long as the program.
    void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) {
        throw Error(ErrorKind::not_found, std::string("load the SSH client: ") + ::dlerror())
            .with_remedy("install locald with its lib/locald beside bin, or build it again");
    }
    const auto found = reinterpret_cast<Function>(::dlsym(module, name));
    if (found == nullptr) throw Error(ErrorKind::corrupt, "load the SSH client from " + path + ": " + ::dlerror());
    return found;
}

bool keeps_connections() {
    const char* answer = std::getenv("LOCALD_HOLDER");
    return answer == nullptr || std::string_view(answer) != "no";
}

}  // namespace

std::unique_ptr<runtime::ContainerRuntime> make_ssh_runtime(const runtime::RuntimeChoice& choice) {
    if (keeps_connections()) {
        return make_remote_runtime([host = choice.host] { return connect_by_holder(host, host::own_executable()); });
    }
    using Make = runtime::ContainerRuntime* (*)(const runtime::RuntimeChoice*);
    return std::unique_ptr<runtime::ContainerRuntime>(symbol<Make>("locald_ssh_make")(&choice));
}

int hold_ssh(const std::string& host) {
    using Hold = int (*)(const char*);
    return symbol<Hold>("locald_ssh_hold")(host.c_str());
}

std::string ask_ssh_host_key(const std::string& address) {
    using Ask = void (*)(const char*, std::string*);
    std::string key;
    symbol<Ask>("locald_ssh_host_key")(address.c_str(), &key);
    return key;
}

}  // namespace locald::backends
