// The SSH backend of the command. The dynamic linker would take milliseconds for libssh2 and OpenSSL at every start, so
// they come with a module, and only where a connection is made: by the process that keeps it. What links the library
// keeps the backend linked in.

#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "backends/remote/holder.hpp"
#include "backends/remote/remote_runtime.hpp"
#include "backends/ssh/ssh_forwards.hpp"
#include "backends/ssh/ssh_runtime.hpp"
#include "core/host/directories.hpp"
#include "core/host/late_module.hpp"
#include "core/registry/credentials/credential_store.hpp"

namespace locald::backends {

namespace {

template <class Function>
Function symbol(const char* name) {
    return reinterpret_cast<Function>(host::load_from_module("locald-ssh", name, "the SSH client"));
}

bool keeps_connections() {
    const char* answer = std::getenv("LOCALD_HOLDER");
    return answer == nullptr || std::string_view(answer) != "no";
}

}  // namespace

std::unique_ptr<runtime::ContainerRuntime> make_ssh_runtime(const runtime::RuntimeChoice& choice) {
    if (keeps_connections()) {
        return make_remote_runtime(
            [host = choice.host] { return connect_by_holder(host, host::own_executable()); }, reconnect_to_host_most,
            OtherHost{choice.shared, [host = choice.host](const auto& ports) { return open_ssh_forwards(host, ports); },
                      [host = choice.host] { return open_ssh_bulk(host); },
                      [host = choice.host](const auto& ports) {
                          return std::make_unique<PortHolder>(host, ports, host::own_executable());
                      },
                      registry::credentials_for_another_host()});
    }
    using Make = runtime::ContainerRuntime* (*)(const runtime::RuntimeChoice*);
    return std::unique_ptr<runtime::ContainerRuntime>(symbol<Make>("locald_ssh_make")(&choice));
}

AgentLink open_ssh_bulk(const std::string& host) {
    using Open = AgentLink* (*)(const char*);
    return std::move(*std::unique_ptr<AgentLink>(symbol<Open>("locald_ssh_bulk")(host.c_str())));
}

int hold_ssh(const std::string& host) {
    using Hold = int (*)(const char*);
    return symbol<Hold>("locald_ssh_hold")(host.c_str());
}

std::shared_ptr<PortForwards> open_ssh_forwards(const std::string& address,
                                                const std::vector<bundle::PortOption>& ports) {
    using Forward = void (*)(const char*, const std::vector<bundle::PortOption>*, std::shared_ptr<PortForwards>*);
    std::shared_ptr<PortForwards> forwards;
    symbol<Forward>("locald_ssh_forward")(address.c_str(), &ports, &forwards);
    return forwards;
}

std::string ask_ssh_host_key(const std::string& address) {
    using Ask = void (*)(const char*, std::string*);
    std::string key;
    symbol<Ask>("locald_ssh_host_key")(address.c_str(), &key);
    return key;
}

}  // namespace locald::backends
