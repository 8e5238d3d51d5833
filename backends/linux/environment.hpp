#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "backends/linux/container_dir.hpp"
#include "backends/linux/shim_choice.hpp"
#include "backends/linux/shim_program.hpp"
#include "core/image/puller.hpp"
#include "core/image/store.hpp"
#include "core/image/unpack.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// What the parts of this backend share: where things are, and each opened at its first use.
class Environment {
public:
    explicit Environment(runtime::RuntimeChoice choice);

    const std::string& data_directory() const noexcept { return data_; }
    const std::string& runtime_directory() const noexcept { return runtime_; }
    image::Store& store();
    image::Puller& puller();
    const Shim& shim();
    const ContainerDirs& containers();

    /// The shim to run containers with, looked for once.
    const ShimChoice& shim_choice() const;
    /// True when the shim is root's with the setuid bit: it writes id maps, and newuidmap is not needed.
    bool has_setuid_shim() const;
    /// The id maps of a container of this user; nothing for root, who needs no user namespace.
    std::optional<posix::IdMaps> id_maps(bundle::UserNamespaceMode mode) const;
    /// What unpacking and removing under these maps needs.
    image::UnpackContext unpack_context(const std::optional<posix::IdMaps>& maps);

    /// Removes a container's directory, also files whose owners are of its user namespace.
    void remove_container_directory(const std::string& path, const std::optional<posix::IdMaps>& maps);
    /// Removes what containers left whose `locald` and shim were both killed.
    void sweep();

private:
    runtime::RuntimeChoice choice_;
    std::string data_, runtime_;
    std::mutex mutex_;
    std::unique_ptr<image::Store> store_;
    std::unique_ptr<image::Puller> puller_;
    mutable std::mutex choice_mutex_;
    mutable std::optional<ShimChoice> shim_choice_;
    std::optional<Shim> shim_;
    std::optional<ContainerDirs> containers_;
};

}  // namespace locald::backends
