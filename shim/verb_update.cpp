#include <fcntl.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup.hpp"
#include "shim/report.hpp"
#include "shim/state.hpp"
#include "shim/update_options.hpp"
#include "shim/verbs.hpp"

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

/// The cache and bandwidth schemata live in resctrl, whatever the cgroups are.
void write_schemata(const UpdateOptions& update) {
    const auto write = [&](const char* name, const std::string& schema, const char* part, const char* missing) {
        if (schema.empty()) return;
        if (::access((std::string("/sys/fs/resctrl/info/") + part).c_str(), F_OK) != 0) {
            throw Error(ErrorKind::unsupported, missing)
                .with_remedy(std::string("this CPU or kernel has none, or resctrl is not mounted; leave --") + name +
                             " out");
        }
        const std::string file = "/sys/fs/resctrl/" + update.id + "/schemata";
        const UniqueFd schemata = posix::open(file, O_WRONLY | O_NOFOLLOW);
        posix::write_all(schemata, schema + "\n", file);
    };
    write("l3-cache-schema", update.l3_cache_schema, "L3", "Intel RDT/CAT: l3 cache schema is not enabled");
    write("mem-bw-schema", update.mem_bw_schema, "MB", "Intel RDT/MBA: memory bandwidth schema is not enabled");
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
    StateDir dir = StateDir::open(open_root(globals.root, false), update.id);
    if (!update.resources_file.empty()) update.resources = read_resources(update.resources_file);
    take_turn(dir, dir.read());
    Record record = dir.read();
    if (dir.status(record) == "stopped") {
        throw Error(ErrorKind::invalid, "update " + update.id + ": container not running");
    }
    Cgroup cgroup = Cgroup::from_paths(record.cgroups);
    in_step("update " + update.id, [&] {
        cgroup.update(update.resources);
        write_schemata(update);
    });
    Reporter(-1).warnings(update.warnings);
    Reporter(-1).warnings(cgroup.warnings());
    if (cgroup.paths() == record.cgroups) return 0;
    record.cgroups = cgroup.paths();
    dir.write(record);
    dir.mark_cgroups_grown();
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
    "      --mem-bw-schema TEXT\n",
    update_container};

}  // namespace locald::shim
