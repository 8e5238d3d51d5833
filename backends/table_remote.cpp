#include "backends/table_remote.hpp"

#include "backends/remote/port_holder.hpp"
#include "backends/ssh/ssh_forwards.hpp"
#include "backends/ssh/ssh_runtime.hpp"

namespace locald::runtime {

const BackendEntry* find_remote_backend() {
    static constexpr BackendEntry remote{"ssh", backends::make_ssh_runtime};
    return &remote;
}

int hold_host(const std::string& host) { return backends::hold_ssh(host); }

int hold_ports_of(const std::string& address) {
    return backends::hold_ports([&](const auto& ports) { return backends::open_ssh_forwards(address, ports); },
                                [&] {
                                    RuntimeChoice choice;
                                    choice.host = address;
                                    return backends::make_ssh_runtime(choice);
                                });
}

std::string ask_host_key(const std::string& address) { return backends::ask_ssh_host_key(address); }

}  // namespace locald::runtime
