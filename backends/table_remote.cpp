#include "backends/table_remote.hpp"

#include "backends/ssh/ssh_runtime.hpp"

namespace locald::runtime {

const BackendEntry* find_remote_backend() {
    static constexpr BackendEntry remote{"ssh", backends::make_ssh_runtime};
    return &remote;
}

int hold_host(const std::string& host) { return backends::hold_ssh(host); }

std::string ask_host_key(const std::string& address) { return backends::ask_ssh_host_key(address); }

}  // namespace locald::runtime
