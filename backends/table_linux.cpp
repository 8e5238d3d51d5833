#include <array>

#include "backends/linux/linux_runtime.hpp"
#include "backends/table_remote.hpp"
#include "core/runtime/backend_entry.hpp"

namespace locald::runtime {

std::unique_ptr<ContainerRuntime> make_runtime(const RuntimeChoice& choice) {
    static constexpr std::array entries{BackendEntry{"linux", backends::make_linux_runtime}};
    const BackendTable table{"Linux", entries, {}, {}, find_remote_backend()};
    return choose_backend(table, choice);
}

}  // namespace locald::runtime
