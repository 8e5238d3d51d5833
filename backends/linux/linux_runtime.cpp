#include "backends/linux/linux_runtime.hpp"

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/linux/admin/setup.hpp"
#include "backends/linux/environment.hpp"
#include "backends/linux/host_facts.hpp"
#include "backends/linux/linux_container.hpp"
#include "backends/linux/linux_images.hpp"
#include "backends/linux/probe.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/bundle/rootfs/image_source.hpp"
#include "core/host/directories.hpp"
#include "core/posix/fs.hpp"

namespace locald::backends {

namespace {

class LinuxRuntime final : public runtime::ContainerRuntime {
public:
    explicit LinuxRuntime(const runtime::RuntimeChoice& choice)
        : choice_(choice), env_(choice), images_(env_), setup_(choice) {}

    runtime::ProbeReport probe() override { return probe_host(choice_); }
    runtime::Images& images() override { return images_; }
    runtime::HostSetup& host_setup() override { return setup_; }

    bundle::ContainerBundle prepare_bundle(const bundle::Source& source, const bundle::RunOptions& options,
                                           const std::string& destination, const ProgressSink& progress,
                                           const CancelToken& cancel) override;
    bundle::ContainerBundle inspect_bundle(const std::string& dir) override { return bundle::load_bundle(dir); }

    std::unique_ptr<runtime::ContainerHandle> run_container(const bundle::Source& source,
                                                            const bundle::RunOptions& options,
                                                            const runtime::Stdio& stdio, const ProgressSink& progress,
                                                            const CancelToken& cancel) override;

    std::vector<oci::State> list() override;
    oci::State state(const std::string& id) override;
    void kill(const std::string& id, int signal) override;
    void remove(const std::string& id, bool force) override;

private:
    bundle::ContainerBundle prepare(const bundle::Source& source, const bundle::RunOptions& options,
                                    bundle::HostFacts host, const std::optional<posix::IdMaps>& maps,
                                    bundle::RootfsMode mode, const std::string& destination,
                                    const ProgressSink& progress, const CancelToken& cancel);

    runtime::RuntimeChoice choice_;
    Environment env_;
    LinuxImages images_;
    LinuxSetup setup_;
};

std::string absolute(const std::string& path) {
    if (path.starts_with('/')) return path;
    return posix::canonical_path(".") + "/" + path;
}

std::string shown_source(const bundle::Source& source) {
    return source.image ? source.image->text : "root filesystem " + source.rootfs;
}

bundle::ContainerBundle LinuxRuntime::prepare(const bundle::Source& source, const bundle::RunOptions& options,
                                              bundle::HostFacts host, const std::optional<posix::IdMaps>& maps,
                                              bundle::RootfsMode mode, const std::string& destination,
                                              const ProgressSink& progress, const CancelToken& cancel) {
    auto context = env_.unpack_context(maps);
    // Until config.json names the layers, which keeps them from the garbage collection from then on.
    const auto lease = env_.store().lease();
    std::optional<image::ImageRecord> image;
    std::string rootfs;
    if (source.image) {
        image = images_.obtain(*source.image, source, progress, cancel);
    } else {
        rootfs =
            in_step("use the root filesystem " + source.rootfs, [&] { return posix::canonical_path(source.rootfs); });
    }
    bundle::ImageSource from(env_.store(), image, rootfs, options, std::move(host), mode, context);
    auto made = from.prepare(destination, progress, cancel);
    if (maps && !maps->full && image) {
        made.warnings.push_back("only one user id is mapped, so files of the image belong to root inside: " +
                                maps->why_not_full);
    }
    if (image && image->platform.architecture != oci::host_platform().architecture) {
        made.warnings.push_back("the image is for " + image->platform.str() + " and this host is " +
                                oci::host_platform().str());
    }
    return made;
}

bundle::ContainerBundle LinuxRuntime::prepare_bundle(const bundle::Source& source, const bundle::RunOptions& options,
                                                     const std::string& destination, const ProgressSink& progress,
                                                     const CancelToken& cancel) {
    return in_step("prepare bundle " + destination + " from " + shown_source(source), [&] {
        const auto maps = env_.id_maps(options.userns);
        bundle::RunOptions named = options;
        if (named.id.empty()) named.id = make_container_id();
        auto host = read_host_facts(named.id, maps, env_.shim_choice().plain);
        host.cgroups_path.clear();  // whoever runs the bundle decides where
        return prepare(source, named, std::move(host), maps, bundle::RootfsMode::directory, absolute(destination),
                       progress, cancel);
    });
}

std::unique_ptr<runtime::ContainerHandle> LinuxRuntime::run_container(const bundle::Source& source,
                                                                      const bundle::RunOptions& options,
                                                                      const runtime::Stdio& stdio,
                                                                      const ProgressSink& progress,
                                                                      const CancelToken& cancel) {
    bundle::RunOptions named = options;
    if (named.id.empty()) named.id = make_container_id();
    check_container_id(named.id);
    // In the config, because a program that asks at once would see a terminal without a size.
    if (stdio.mode == runtime::Stdio::Mode::pty && !named.console_size) {
        named.console_size = oci::ConsoleSize{stdio.size.rows, stdio.size.columns};
    }
    const std::string id = named.id;
    return in_step("run " + shown_source(source), [&]() -> std::unique_ptr<runtime::ContainerHandle> {
        const Shim& shim = env_.shim();
        env_.sweep();
        auto lock = std::make_shared<host::FileLock>(env_.containers().claim(id));
        const auto maps = env_.id_maps(named.userns);
        const std::string dir = env_.containers().path_of(id);
        const auto clean_up = [this, dir, id, maps, lock] {
            try {
                env_.remove_container_directory(dir, maps);
            } catch (const Error& e) {
                log(LogLevel::error, e.what());
            }
            env_.containers().forget(id);
        };
        ContainerStart start;
        try {
            auto bundle = prepare(source, named, read_host_facts(id, maps, env_.shim_choice().plain), maps,
                                  bundle::RootfsMode::overlay, dir, progress, cancel);
            start.stop_signal = std::move(bundle.stop_signal);
            start.warnings = std::move(bundle.warnings);
            cancel.check();
        } catch (...) {
            clean_up();
            throw;
        }
        start.id = id;
        start.keep_id = named.userns == bundle::UserNamespaceMode::keep_id;
        start.bundle_dir = dir;
        start.stdio = stdio;
        start.clean_up = clean_up;
        return std::make_unique<LinuxContainer>(shim, std::move(start));
    });
}

std::vector<oci::State> LinuxRuntime::list() {
    std::vector<oci::State> all;
    const std::string out = env_.shim().run({"list", "-f", "json"});
    try {
        const auto json = nlohmann::json::parse(out);
        for (const auto& one : json) all.push_back(oci::parse_state(one.dump()));
    } catch (const nlohmann::json::exception& e) {
        throw Error(ErrorKind::corrupt, "read the list of containers: " + std::string(e.what()));
    }
    return all;
}

oci::State LinuxRuntime::state(const std::string& id) {
    check_container_id(id);
    return oci::parse_state(env_.shim().run({"state", id}));
}

void LinuxRuntime::kill(const std::string& id, int signal) {
    check_container_id(id);
    env_.shim().run({"kill", id, std::to_string(signal)});
}

void LinuxRuntime::remove(const std::string& id, bool force) {
    check_container_id(id);
    env_.shim().run(force ? std::vector<std::string>{"delete", "--force", id} : std::vector<std::string>{"delete", id});
}

}  // namespace

std::unique_ptr<runtime::ContainerRuntime> make_linux_runtime(const runtime::RuntimeChoice& choice) {
    return std::make_unique<LinuxRuntime>(choice);
}

}  // namespace locald::backends
