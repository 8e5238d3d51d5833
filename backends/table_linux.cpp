#include <array>

#include "backends/linux/linux_runtime.hpp"
#include "backends/ssh/ssh_runtime.hpp"
#include "core/runtime/backend_entry.hpp"

namespace locald::runtime {

std::unique_ptr<ContainerRuntime> make_runtime(const RuntimeChoice& choice) {
    static constexpr std::array entries{BackendEntry{"linux", backends::make_linux_runtime}};
    static constexpr BackendEntry remote{"ssh", backends::make_ssh_runtime};
    static constexpr BackendTable table{"Linux", entries, {}, {}, &remote};
    return choose_backend(table, choice);
}

}  // namespace locald::runtime
