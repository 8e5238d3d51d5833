#include <signal.h>
#include <time.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/report.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/cgroup/intel_rdt.hpp"
#include "shim/container/for_owner.hpp"
#include "shim/container/hooks.hpp"
#include "shim/container/state.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr int tick_ms = 5;
constexpr int patience_ticks = 5000 / tick_ms;

/// Kills the processes of a container whose shim may or may not live.
void kill_all_of(const StateDir& dir, const Record& record) {
    if (const UniqueFd process = open_process(record)) {
        posix::pidfd_send_signal(process, SIGKILL);
        // On v1 nothing dies while it is frozen.
        if (is_frozen(record.cgroups)) Cgroup::from_paths(record.cgroups).thaw();
        wait_for_end(process);
    }
    // Planned cgroups that were never made are nobody's, or somebody else's.
    if (dir.cgroups_made() && !record.cgroups.empty()) Cgroup::from_paths(record.cgroups).kill_all();
}

/// Ends a shim that hangs although its container is dead.
void kill_shim(const Record& record) {
    Record shim;
    shim.state.pid = record.shim_pid;
    shim.start_time = record.shim_start_time;
    if (const UniqueFd process = open_process(shim)) {
        posix::pidfd_send_signal(process, SIGKILL);
        wait_for_end(process);
    }
}

/// The lock, once the shim has let go of it. False when it removed everything itself.
bool wait_for_lock(StateDir& dir, const std::optional<Record>& record, const std::string& id) {
    bool gone = false;
    for (int tick = 0; !dir.take_lock(gone); ++tick) {
        if (gone) return false;
        if (tick == patience_ticks && record) kill_shim(*record);
        if (tick >= 2 * patience_ticks)
            throw Error(ErrorKind::unavailable, "delete " + id + ": its runtime still runs");
        const timespec pause{0, tick_ms * 1000000L};
        ::nanosleep(&pause, nullptr);
    }
    return true;
}

void run_poststop(const StateDir& dir, const Record& record) {
    if (!record.poststop) return;
    if (is_for_owner()) {
        return Reporter(-1).warning("delete " + dir.id() +
                                    ": its poststop hooks are not run, which only its owner does");
    }
    oci::State state = record.state;
    state.status = "stopped";
    state.pid = 0;
    std::vector<std::string> warnings;
    HookOutputs outputs;
    try {
        outputs = open_hook_outputs(state.annotations);
    } catch (const Error& e) {
        warnings.emplace_back(e.what());
    }
    const oci::Spec spec = dir.read_spec();
    if (spec.hooks) run_hooks_forgiving(spec.hooks->poststop, "poststop", oci::to_hook_json(state), warnings, outputs);
    Reporter(-1).warnings(warnings);
}

/// Nothing when its maker was killed before the first line was whole: then nothing was made yet.
std::optional<Record> find_record(const StateDir& dir) {
    try {
        return dir.read();
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::corrupt && e.kind() != ErrorKind::not_found) throw;
        return std::nullopt;
    }
}

/// A created container is killed without being asked twice: nothing of its own has run yet.
void check_may_go(StateDir& dir, const Record& record, bool shim_alive) {
    const std::string status = dir.status(record);
    if ((status == "stopped" || status == "created") && !shim_alive) return;
    throw Error(ErrorKind::invalid, "cannot delete container " + dir.id() + " that is not stopped: " + status)
        .with_remedy("--force kills it first");
}

int delete_container(const Globals& globals, Walker& walker) {
    bool force = false;
    for (std::string name; walker.next_option(name);) {
        if (name != "-f" && name != "--force") walker.unknown();
        force = walker.flag();
    }
    walker.need_exactly(1);
    const std::string& id = walker.arguments()[0];
    check_container_id(id);
    std::optional<StateDir> dir;
    try {
        for (const auto& place : open_roots(globals.root)) {
            if (place) sweep_unborn(place);
        }
        dir = find_state(globals.root, id);
    } catch (const Error& e) {
        if (force && e.kind() == ErrorKind::not_found) return 0;
        throw;
    }
    std::optional<Record> record = find_record(*dir);
    const bool shim_alive = dir->locked_by_other();
    if (record) {
        if (!force) check_may_go(*dir, *record, shim_alive);
        kill_all_of(*dir, *record);
    }
    if (!wait_for_lock(*dir, record, id)) return 0;
    // Read again: what was being made at our first look may be complete by now.
    record = find_record(*dir);
    if (record) {
        if (!force) check_may_go(*dir, *record, false);
        kill_all_of(*dir, *record);
        if (!record->cgroups.empty()) {
            const Cgroup cgroup = Cgroup::from_paths(record->cgroups, record->systemd_unit);
            if (dir->cgroups_made()) {
                cgroup.remove();
            } else if (record->systemd_unit.empty()) {
                try {
                    cgroup.remove();
                } catch (const Error&) {
                    // Planned, but already somebody else's: not ours to take away.
                }
            }
        }
        if (record->shared_root) undo_shared_root(*record->shared_root);
        remove_resctrl(record->resctrl);
        run_poststop(*dir, *record);
    }
    dir->remove();
    // There was a directory, but never a container.
    if (!record && !force) throw Error(ErrorKind::not_found, id + ": container does not exist", ENOENT);
    return 0;
}

}  // namespace

const Verb delete_verb{
    "delete",
    "  delete [--force] ID                remove what is left of a container; --force kills it first\n",
    "Usage: locald-shim [OPTION...] delete [-f|--force] ID\n"
    "\n"
    "Removes the cgroup and the state of a container that has ended, that was never started or whose runtime was\n"
    "killed.\n"
    "  -f, --force   kill it first when it runs; an unknown id is no error\n",
    delete_container,
    2,
    true};

}  // namespace locald::shim
