#include "backends/table_remote.hpp"

namespace locald::runtime {

const BackendEntry* find_remote_backend() { return nullptr; }

int hold_host(const std::string& host) {
    throw Error(ErrorKind::unsupported_platform,
                "connect to " + host + ": this build was made with LOCALD_BACKEND_SSH=OFF");
}

}  // namespace locald::runtime
