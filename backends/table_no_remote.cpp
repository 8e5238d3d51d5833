#include "backends/table_remote.hpp"

namespace locald::runtime {

const BackendEntry* find_remote_backend() { return nullptr; }

namespace {

[[noreturn]] void fail(const std::string& host) {
    throw Error(ErrorKind::unsupported_platform,
                "connect to " + host + ": this build was made with LOCALD_BACKEND_SSH=OFF");
}

}  // namespace

int hold_host(const std::string& host) { fail(host); }

int hold_ports_of(const std::string& address) { fail(address); }

std::string ask_host_key(const std::string& address) { fail(address); }

}  // namespace locald::runtime
