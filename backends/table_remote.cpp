#include "backends/table_remote.hpp"

#include "backends/ssh/ssh_runtime.hpp"

namespace locald::runtime {

const BackendEntry* find_remote_backend() {
    static constexpr BackendEntry remote{"ssh", backends::make_ssh_runtime};
    return &remote;
}

}  // namespace locald::runtime
