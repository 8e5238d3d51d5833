#include <fcntl.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/report.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/cgroup/intel_rdt.hpp"
#include "shim/container/state.hpp"
#include "shim/verbs/update_options.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr std::size_t most_text = 1U << 20U;

oci::Resources read_resources(const std::string& file) {
    if (file == "-") {
        const UniqueFd input(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
        return oci::parse_resources(posix::read_all(input, "standard input", most_text));
    }
    return in_step(file, [&] { return oci::parse_resources(posix::read_file(file, most_text)); });
}

void check_resctrl(const std::string& schema, const char* part, const char* missing) {
    if (schema.empty()) return;
    std::string info;
    try {
        info = find_resctrl() + "/info/" + part;
    } catch (const Error&) {
        info.clear();
    }
    if (!info.empty() && ::access(info.c_str(), F_OK) == 0) return;
    throw Error(ErrorKind::unsupported, missing)
        .with_remedy("this CPU or kernel has none, or resctrl is not mounted; leave the schema out");
}

/// The cache and bandwidth schemata, in the container's group of resctrl. True when it got one only now.
bool update_schemata(const UpdateOptions& update, const StateDir& dir, Record& record) {
    if (update.l3_cache_schema.empty() && update.mem_bw_schema.empty()) return false;
    check_resctrl(update.l3_cache_schema, "L3", "Intel RDT/CAT: l3 cache schema is not enabled");
    check_resctrl(update.mem_bw_schema, "MB", "Intel RDT/MBA: memory bandwidth schema is not enabled");
    const std::string resctrl = find_resctrl();
    const auto configured = dir.read_spec().linux_->intel_rdt;
    if (!configured && record.resctrl.empty()) {
        oci::IntelRdt rdt;
        rdt.l3_cache_schema = update.l3_cache_schema;
        rdt.mem_bw_schema = update.mem_bw_schema;
        record.resctrl = plan_resctrl(rdt, update.id, resctrl);
        join_resctrl(rdt, update.id, record.state.pid, resctrl);
        return true;
    }
    const std::string group = configured && !configured->clos_id.empty() ? configured->clos_id : update.id;
    const std::string file = resctrl + "/" + group + "/schemata";
    const UniqueFd schemata = posix::open(file, O_WRONLY | O_NOFOLLOW);
    for (const auto& schema : {update.l3_cache_schema, update.mem_bw_schema}) {
        if (!schema.empty()) posix::write_all(schemata, schema + "\n", file);
    }
    return false;
}

/// A runtime that sees its container through in the foreground holds the lock all the while, and writes no state any
/// more; any other holder is waited for.
void take_turn(StateDir& dir, const Record& record) {
    bool gone = false;
    if (dir.take_lock(gone)) return;
    if (gone || process_start_time(record.shim_pid) != record.shim_start_time) dir.wait_for_lock();
}

int update_container(const Globals& globals, Walker& walker) {
    UpdateOptions update = parse_update(walker);
    check_container_id(update.id);
    StateDir dir = find_state(globals.root, update.id);
    if (!update.resources_file.empty()) update.resources = read_resources(update.resources_file);
    take_turn(dir, dir.read());
    Record record = dir.read();
    if (dir.status(record) == "stopped") {
        throw Error(ErrorKind::invalid, "update " + update.id + ": container not running");
    }
    Cgroup cgroup = Cgroup::from_paths(record.cgroups, record.systemd_unit);
    const bool new_group = in_step("update " + update.id, [&] {
        // Whoever ends the container has to know of a directory before it is there: this may be killed at any moment.
        cgroup.update(update.resources, [&](const std::vector<std::string>& planned) {
            record.cgroups = planned;
            dir.write(record);
            dir.mark_cgroups_grown();
        });
        return update_schemata(update, dir, record);
    });
    Reporter(-1).warnings(update.warnings);
    Reporter(-1).warnings(cgroup.warnings());
    const bool grown = cgroup.paths() != record.cgroups;
    if (!grown && !new_group) return 0;
    record.cgroups = cgroup.paths();
    dir.write(record);
    if (grown) dir.mark_cgroups_grown();
    return 0;
}

}  // namespace

const Verb update_verb{
    "update", "  update [OPTION...] ID              change the container's limits\n",
    "Usage: locald-shim [OPTION...] update [OPTION...] ID\n"
    "\n"
    "Changes limits of a container that exists; what is not named stays as it is.\n"
    "  -r, --resources FILE        read linux.resources (JSON, changed members only) from FILE, - for standard input;\n"
    "                              all other options are ignored then\n"
    "      --blkio-weight N        10 to 1000\n"
    "      --cpu-period USEC       length of the period of the quota\n"
    "      --cpu-quota USEC        CPU time in a period; -1 is unlimited\n"
    "      --cpu-burst USEC        what may be saved up beyond the quota\n"
    "      --cpu-share N           relative weight, 2 to 262144\n"
    "      --cpu-rt-period USEC    the same for realtime processes, on cgroup v1\n"
    "      --cpu-rt-runtime USEC\n"
    "      --cpu-idle N            1: only when nobody else wants the CPU\n"
    "      --cpuset-cpus LIST      such as 0-3,7\n"
    "      --cpuset-mems LIST\n"
    "      --memory SIZE           bytes, or with k, m, g, t; -1 is unlimited\n"
    "      --memory-reservation SIZE\n"
    "      --memory-swap SIZE      memory and swap together; -1 is unlimited\n"
    "      --pids-limit N          -1 is unlimited\n"
    "      --l3-cache-schema TEXT  schemata of resctrl\n"
    "      --mem-bw-schema TEXT\n"
    "      --kernel-memory SIZE    accepted without effect, as kernels have no such limit any more\n"
    "      --kernel-memory-tcp SIZE\n",
    update_container};

}  // namespace locald::shim
