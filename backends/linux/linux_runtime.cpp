#include "backends/linux/linux_runtime.hpp"

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "backends/linux/admin/setup.hpp"
#include "backends/linux/detached/detached_containers.hpp"
#include "backends/linux/environment.hpp"
#include "backends/linux/exec_process.hpp"
#include "backends/linux/host_facts.hpp"
#include "backends/linux/linux_container.hpp"
#include "backends/linux/linux_images.hpp"
#include "backends/linux/probe.hpp"
#include "backends/linux/published_ports.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/bundle/rootfs/image_source.hpp"
#include "core/host/directories.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

namespace {

std::string absolute(const std::string& path) {
    if (path.starts_with('/')) return path;
    return posix::canonical_path(".") + "/" + path;
}

std::string shown_source(const bundle::Source& source) {
    return source.image ? source.image->text : "root filesystem " + source.rootfs;
}

/// Of a container in somebody's foreground, which has no record.
runtime::ContainerInfo foreground_info(const oci::State& state) {
    runtime::ContainerInfo info;
    info.id = state.id;
    info.created = info.started = state.created;
    info.pid = state.pid;
    info.detached = false;
    info.status = state.status == "stopped"                               ? runtime::ContainerInfo::Status::lost
                  : state.status == "running" || state.status == "paused" ? runtime::ContainerInfo::Status::running
                                                                          : runtime::ContainerInfo::Status::created;
    try {
        const auto spec = bundle::load_bundle(state.bundle).spec;
        if (spec.process) info.command = spec.process->args;
        if (spec.process) info.tty = spec.process->terminal;
    } catch (const Error& e) {
        log(LogLevel::debug, e.what());  // it is ending
    }
    return info;
}

/// Returns when the program runs. @throws the shim's own Error
void run_exec_detached(const Shim& shim, const std::string& process_file, const std::string& id) {
    constexpr int report_number = 3;
    auto pipe = posix::make_pipe();
    auto options =
        shim.command({"exec", "-d", "--process", process_file, "--report-fd", std::to_string(report_number), id});
    options.handles.push_back({pipe.write.get(), report_number});
    host::Child child = host::Child::start(options);
    pipe.write.reset();
    ShimReport report(std::move(pipe.read));
    for (;;) {
        const auto event = report.next();
        if (!event) break;
        if (event->error) throw Error(*event->error);
    }
    if (const auto status = child.wait(); !status.ok()) {
        throw Error(ErrorKind::lost, "locald-shim ended with status " + std::to_string(status.exit_code()));
    }
}

class LinuxRuntime final : public runtime::ContainerRuntime {
public:
    explicit LinuxRuntime(const runtime::RuntimeChoice& choice, bool of_keeper = false)
        : choice_(choice),
          of_keeper_(of_keeper),
          env_(choice),
          images_(env_),
          detached_(choice, env_),
          setup_(choice) {}

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

    runtime::DetachedStart run_detached(const bundle::Source& source, const bundle::RunOptions& options,
                                        const runtime::DetachOptions& how, const ProgressSink& progress,
                                        const CancelToken& cancel) override {
        const auto step = "run " + shown_source(source);
        try {
            check_published_ports(options.ports);
            return detached_.run(source, options, how, progress, cancel);
        } catch (Error& e) {
            if (!e.message().starts_with(step + ": ")) e.add_context(step);  // the keeper's words have it
            throw;
        }
    }
    std::vector<runtime::ContainerInfo> containers() override;
    runtime::ContainerInfo container(const std::string& id) override { return get(id); }
    runtime::ExitStatus wait(const std::string& id, const CancelToken& cancel) override {
        return detached_.wait(get_detached(id).id, cancel);
    }
    void stop(const std::string& id, std::chrono::milliseconds grace) override;
    std::unique_ptr<runtime::ContainerHandle> attach(const std::string& id, const runtime::AttachOptions& how,
                                                     const runtime::Stdio& stdio) override {
        return detached_.attach(get_detached(id).id, how, stdio);
    }
    std::unique_ptr<runtime::ContainerHandle> exec(const std::string& id, const runtime::ExecOptions& options,
                                                   const runtime::Stdio& stdio) override;
    void logs(const std::string& id, const runtime::LogOptions& options, int out, int err,
              const CancelToken& cancel) override {
        detached_.logs(get_detached(id).id, options, out, err, cancel);
    }

    std::vector<oci::State> list() override;
    oci::State state(const std::string& id) override;
    void kill(const std::string& id, int signal) override;
    void remove(const std::string& id, bool force) override;

private:
    bundle::ContainerBundle prepare(const bundle::Source& source, const bundle::RunOptions& options,
                                    bundle::HostFacts host, const std::optional<posix::IdMaps>& maps,
                                    bundle::RootfsMode mode, const std::string& destination,
                                    const ProgressSink& progress, const CancelToken& cancel);

    /// By the whole id or the beginning of just one. @throws Error(not_found)
    runtime::ContainerInfo get(const std::string& id);
    runtime::ContainerInfo get_detached(const std::string& id);
    Shim shim_of(const runtime::ContainerInfo& info);

    runtime::RuntimeChoice choice_;
    bool of_keeper_;
    Environment env_;
    LinuxImages images_;
    DetachedContainers detached_;
    LinuxSetup setup_;
};

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
                                maps->why_not_full + "; " + maps->remedy);
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
        auto ports = check_published_ports(named.ports);
        const Shim& shim = env_.shim();
        env_.sweep();
        auto lock = std::make_shared<host::FileLock>(env_.containers().claim(id));
        if (!of_keeper_) detached_.records().check_free(id);
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
        start.ports = std::move(ports);
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

std::vector<runtime::ContainerInfo> LinuxRuntime::containers() {
    auto all = detached_.all();
    const std::size_t detached = all.size();
    for (const auto& state : list()) {
        const bool known = std::any_of(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(detached),
                                       [&](const auto& one) { return one.id == state.id; });
        // Others may use the shim and its directory of states as well.
        if (known || !is_container_id(state.id) || state.bundle != env_.containers().path_of(state.id)) continue;
        all.push_back(foreground_info(state));
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.created > b.created; });
    return all;
}

runtime::ContainerInfo LinuxRuntime::get(const std::string& id) {
    if (is_container_id(id)) {
        if (auto record = detached_.records().look(id)) return std::move(record->info);
    }
    std::vector<runtime::ContainerInfo> found;
    for (auto& one : containers()) {
        if (one.id == id) return std::move(one);
        if (!id.empty() && one.id.starts_with(id)) found.push_back(std::move(one));
    }
    if (found.size() == 1) return std::move(found.front());
    if (found.empty()) {
        throw Error(ErrorKind::not_found, "no such container: " + id).with_remedy("see `locald container ls -a`");
    }
    throw Error(ErrorKind::invalid, "the id " + id + " is the beginning of several containers' ids")
        .with_remedy("write more of it");
}

runtime::ContainerInfo LinuxRuntime::get_detached(const std::string& id) {
    auto info = get(id);
    if (info.detached) return info;
    throw Error(ErrorKind::unsupported, "container " + info.id + " is in the foreground of the locald that runs it")
        .with_remedy("that one has its output and its exit status; or start it by `container run -d`");
}

void LinuxRuntime::stop(const std::string& id, std::chrono::milliseconds grace) {
    detached_.stop(get_detached(id).id, grace);
}

std::unique_ptr<runtime::ContainerHandle> LinuxRuntime::exec(const std::string& id, const runtime::ExecOptions& options,
                                                             const runtime::Stdio& stdio) {
    const auto info = get(id);
    return in_step("exec in container " + info.id, [&]() -> std::unique_ptr<runtime::ContainerHandle> {
        if (info.status != runtime::ContainerInfo::Status::running) {
            throw Error(ErrorKind::invalid, "it is not running");
        }
        const std::string dir = env_.containers().path_of(info.id);
        const auto own = bundle::load_bundle(dir).spec.process;
        if (!own) throw Error(ErrorKind::corrupt, dir + " names no process");
        auto process = make_exec_process(*own, options, "/proc/" + std::to_string(info.pid) + "/root");
        if (stdio.mode == runtime::Stdio::Mode::pty) {
            process.console_size = oci::ConsoleSize{stdio.size.rows, stdio.size.columns};
        }
        // Beside the container's configuration: what is left of it goes with the container.
        const std::string file = dir + "/exec-" + make_container_id() + ".json";
        posix::replace_file_unsynced(file, oci::to_json(process, false), 0600);
        const auto clean_up = [file] { ::unlink(file.c_str()); };
        const auto shim = shim_of(info);
        if (options.detach) {
            try {
                run_exec_detached(shim, file, info.id);
            } catch (const Error&) {
                clean_up();
                throw;
            }
            clean_up();
            return nullptr;
        }
        ContainerStart start;
        start.id = info.id;
        start.exec_process = file;
        start.stdio = stdio;
        start.clean_up = clean_up;
        return std::make_unique<LinuxContainer>(shim, std::move(start));
    });
}

/// The one with the directory of states that the container was started with, which another session may not have.
Shim LinuxRuntime::shim_of(const runtime::ContainerInfo& info) {
    return info.detached ? Shim(env_.shim().program(), detached_.get(info.id).state_directory) : env_.shim();
}

void LinuxRuntime::kill(const std::string& id, int signal) {
    const auto info = get(id);
    using Status = runtime::ContainerInfo::Status;
    if (info.status == Status::exited || info.status == Status::lost) {
        throw Error(ErrorKind::invalid, "kill container " + info.id + ": it is not running");
    }
    shim_of(info).run({"kill", info.id, std::to_string(signal)});
}

void LinuxRuntime::remove(const std::string& id, bool force) {
    const auto info = get(id);
    if (info.detached) return detached_.remove(info.id, force);
    env_.shim().run(force ? std::vector<std::string>{"delete", "--force", info.id}
                          : std::vector<std::string>{"delete", info.id});
}

}  // namespace

std::unique_ptr<runtime::ContainerRuntime> make_linux_runtime(const runtime::RuntimeChoice& choice) {
    return std::make_unique<LinuxRuntime>(choice);
}

std::unique_ptr<runtime::ContainerRuntime> make_linux_runtime_of_keeper(const runtime::RuntimeChoice& choice) {
    return std::make_unique<LinuxRuntime>(choice, true);
}

}  // namespace locald::backends
