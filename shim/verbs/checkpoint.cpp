#include <fcntl.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup/layout.hpp"
#include "shim/container/state.hpp"
#include "shim/criu/criu.hpp"
#include "shim/criu/external.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

std::vector<std::string> own_arguments(const CriuOptions& options) {
    std::vector<std::string> words;
    const auto add = [&](bool wanted, std::initializer_list<std::string> more) {
        if (wanted) words.insert(words.end(), more);
    };
    add(options.leave_running || options.pre_dump, {"--leave-running"});
    add(options.tcp_skip_in_flight, {"--skip-in-flight"});
    add(options.link_remap, {"--link-remap"});
    add(!options.parent_path.empty(), {"--prev-images-dir", options.parent_path});
    add(!options.parent_path.empty() || options.pre_dump, {"--track-mem"});
    add(options.status_fd >= 0, {"--status-fd", std::to_string(options.status_fd)});
    add(true, {"--manage-cgroups=" + (options.cgroups_mode.empty() ? "soft" : options.cgroups_mode)});
    const auto colon = options.page_server.rfind(':');
    if (colon != std::string::npos) {
        add(true, {"--page-server", "--address", options.page_server.substr(0, colon), "--port",
                   options.page_server.substr(colon + 1)});
    }
    return words;
}

/// criu stops a cgroup at once where there is one that can be frozen; and only so it gets along with a paused one.
std::vector<std::string> freezer_arguments(const std::vector<std::string>& cgroups) {
    for (const auto& path : cgroups) {
        const CgroupMount* mount = cgroup_host().of(path);
        if (mount != nullptr && (mount->v2 || mount->has("freezer"))) return {"--freeze-cgroup", path};
    }
    return {};
}

/// Its pid, as long as the handle is held.
posix::UniqueFd find_running(const Globals& globals, const std::string& id, Record& record, oci::Spec& spec) {
    StateDir dir = find_state(globals.root, id);
    record = dir.read();
    const std::string status = dir.status(record);
    if (status != "running" && status != "paused") {
        throw Error(ErrorKind::invalid, "checkpoint " + id + ": container not running: it is " + status);
    }
    posix::UniqueFd process = open_process(record);
    if (!process) throw Error(ErrorKind::invalid, "checkpoint " + id + ": container not running");
    spec = dir.read_spec();
    if (spec.process && spec.process->terminal) {
        throw Error(ErrorKind::unsupported, "checkpoint " + id + ": its process has a terminal of ours")
            .with_remedy("a checkpoint is made of containers without a terminal (process.terminal false)");
    }
    return process;
}

int checkpoint(const Globals& globals, Walker& walker) {
    CriuOptions options = parse_criu(globals, walker, false);
    check_container_id(options.id);
    Record record;
    oci::Spec spec;
    const posix::UniqueFd process = find_running(globals, options.id, record, spec);
    CriuRun run;
    run.program = find_criu(options.criu);
    posix::make_directories(options.image_path, 0700);
    posix::make_directories(options.work_path, 0700);
    const CriuExternals externals = find_externals(spec, record.state.pid);
    if (!options.pre_dump) posix::replace_file(options.image_path + "/locald.json", to_json(externals), 0600);
    run.log = options.work_path + "/dump.log";
    run.arguments = {options.pre_dump ? "pre-dump" : "dump", "-t", std::to_string(record.state.pid)};
    for (auto& more : {criu_arguments(options, record.state.rootfs, "dump.log"), own_arguments(options),
                       freezer_arguments(record.cgroups), dump_arguments(externals)}) {
        run.arguments.insert(run.arguments.end(), more.begin(), more.end());
    }
    if (options.status_fd >= 0) run.descriptors.emplace_back(options.status_fd, options.status_fd);
    run.prepare = [] {};
    run.started = [](pid_t) {};
    run_criu(run);
    if (options.leave_running || options.pre_dump) return 0;
    const std::vector<std::string> words{"--force", options.id};
    Walker rest(words, 0, "delete");
    return delete_verb.run(globals, rest);
}

}  // namespace

const Verb checkpoint_verb{
    "checkpoint", "  checkpoint ID                      write a running container into files, for `restore`\n",
    "Usage: locald-shim [OPTION...] checkpoint [OPTION...] ID\n"
    "\n"
    "Writes the processes of a container into files by criu, and removes it. Needs root, criu and a kernel with\n"
    "CONFIG_CHECKPOINT_RESTORE. A container with a terminal cannot be checkpointed.\n"
    "\n"
    "      --image-path DIR            where the files go (default: checkpoint)\n"
    "      --work-path DIR             where criu's log goes (default: the image path)\n"
    "      --parent-path DIR           the files of an earlier --pre-dump, relative to the image path\n"
    "      --leave-running             the container runs on\n"
    "      --pre-dump                  its memory alone; the container runs on\n"
    "      --tcp-established           with its open TCP connections\n"
    "      --tcp-skip-in-flight        without TCP connections that are being made\n"
    "      --ext-unix-sk               with unix sockets that lead outside\n"
    "      --shell-job                 with a terminal from outside\n"
    "      --file-locks                with file locks\n"
    "      --link-remap                with files that were removed while open\n"
    "      --lazy-pages                leave the memory where it is, for criu's lazy-pages server\n"
    "      --status-fd N               a byte is written there when the lazy-pages server is ready\n"
    "      --page-server ADDRESS:PORT  send the memory there\n"
    "      --auto-dedup                remove what a parent has as well\n"
    "      --manage-cgroups-mode MODE  soft, full, strict or ignore (default: soft)\n"
    "      --empty-ns network          the network namespace without what is in it\n",
    checkpoint};

}  // namespace locald::shim
