#include "backends/linux/environment.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/host/directories.hpp"

namespace locald::backends {

Environment::Environment(runtime::RuntimeChoice choice)
    : choice_(std::move(choice)),
      data_(choice_.data_directory.empty() ? host::data_directory() : choice_.data_directory),
      runtime_(choice_.runtime_directory.empty() ? host::runtime_directory() : choice_.runtime_directory) {}

image::Store& Environment::store() {
    const std::lock_guard lock(mutex_);
    if (!store_) store_ = std::make_unique<image::Store>(data_);
    return *store_;
}

image::Puller& Environment::puller() {
    const std::lock_guard lock(mutex_);
    if (!puller_) puller_ = std::make_unique<image::Puller>();
    return *puller_;
}

const Shim& Environment::shim() {
    const std::lock_guard lock(mutex_);
    if (!shim_) {
        const auto& choice = shim_choice();
        if (choice.is_warning) log(LogLevel::warning, choice.refused + "; sudo locald admin setup puts it right");
        Shim found(choice.program, runtime_);
        found.check_version(data_ + "/shim-version");
        // The shim trusts a place that is named to it; whether this one is ours alone is ours to see.
        host::ensure_private_directory(runtime_);
        shim_ = std::move(found);
    }
    return *shim_;
}

const ContainerDirs& Environment::containers() {
    const std::lock_guard lock(mutex_);
    if (!containers_) containers_.emplace(data_);
    return *containers_;
}

const ShimChoice& Environment::shim_choice() const {
    const std::lock_guard lock(choice_mutex_);
    if (!shim_choice_) shim_choice_ = choose_shim(choice_, data_ + "/shim-installed");
    return *shim_choice_;
}

bool Environment::has_setuid_shim() const {
    try {
        return shim_choice().rights == ShimRights::setuid;
    } catch (const Error&) {
        return false;  // whoever needs the shim says that it is missing
    }
}

std::optional<posix::IdMaps> Environment::id_maps(bundle::UserNamespaceMode mode) const {
    if (::geteuid() == 0) return std::nullopt;
    const auto writer = has_setuid_shim() ? posix::MapWriter::setuid_shim : posix::MapWriter::helpers;
    return posix::caller_id_maps(mode == bundle::UserNamespaceMode::keep_id, writer);
}

image::UnpackContext Environment::unpack_context(const std::optional<posix::IdMaps>& maps) {
    image::UnpackContext context;
    context.worker.argv = {find_program("locald", choice_.worker), "storage-worker"};
    context.maps = maps;
    if (maps && has_setuid_shim()) {
        context.make_user_namespace = [this](const posix::IdMaps& wanted) {
            const bool keep_id = std::any_of(wanted.uids.begin(), wanted.uids.end(), [](const auto& map) {
                return map.host_id == ::geteuid() && map.container_id == map.host_id;
            });
            return shim().make_user_namespace(keep_id);
        };
    }
    return context;
}

void Environment::remove_container_directory(const std::string& path, const std::optional<posix::IdMaps>& maps) {
    auto context = unpack_context(maps);
    image::remove_mapped_tree(path, context);
}

void Environment::sweep() {
    containers().sweep([this](const std::string& id) {
        log(LogLevel::info, "remove what container " + id + " left");
        const auto removed = shim().try_run({"delete", "--force", id});
        if (!removed.status.ok()) log(LogLevel::warning, "remove what container " + id + " left: " + removed.err);
        // Which of the two maps the container had is not known any more; the plain one covers the ids of both.
        remove_container_directory(containers().path_of(id), id_maps(bundle::UserNamespaceMode::automatic));
    });
}

}  // namespace locald::backends
