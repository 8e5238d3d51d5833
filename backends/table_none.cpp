#include "backends/keeper.hpp"
#include "backends/storage_worker.hpp"
#include "backends/table_remote.hpp"
#include "core/base/error.hpp"
#include "core/runtime/backend_entry.hpp"

namespace locald::runtime {

std::unique_ptr<ContainerRuntime> make_runtime(const RuntimeChoice& choice) {
    const BackendTable table{
        "a build without a backend",
        {},
        "container execution needs Linux, and this build was made with LOCALD_BACKEND_LINUX=OFF",
        "on Linux build with -DLOCALD_BACKEND_LINUX=ON; on macOS run `locald vm init` to create the Lima VM, on "
        "Windows the WSL2 distribution; --host ssh://user@host runs them on another Linux",
        find_remote_backend()};
    return choose_backend(table, choice);
}

}  // namespace locald::runtime

namespace locald::backends {

int storage_worker_main(const std::vector<std::string>&) {
    throw Error(ErrorKind::unsupported_platform, "unpack layers: this build was made with LOCALD_BACKEND_LINUX=OFF")
        .with_remedy("build with -DLOCALD_BACKEND_LINUX=ON on Linux");
}

int keeper_main(const std::vector<std::string>&) {
    throw Error(ErrorKind::unsupported_platform, "keep a container: this build was made with LOCALD_BACKEND_LINUX=OFF")
        .with_remedy("build with -DLOCALD_BACKEND_LINUX=ON on Linux");
}

}  // namespace locald::backends
