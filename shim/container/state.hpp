#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/oci/state.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/mounts/shared_root.hpp"

namespace locald::shim {

/// What `<root>/<id>/state.json` holds: all that is needed to finish or remove the container after a kill -9 of its
/// shim.
struct Record {
    oci::State state;              ///< status: creating, created, running
    std::uint64_t start_time = 0;  ///< of state.pid, in clock ticks since boot: /proc/<pid>/stat, field 22
    pid_t shim_pid = 0;
    std::uint64_t shim_start_time = 0;
    std::vector<std::string> cgroups;          ///< planned or made
    std::vector<std::string> resctrl;          ///< groups of linux.intelRdt to remove, planned or made
    std::optional<SharedRoot> shared_root;     ///< to be unmounted, planned or made
    std::string systemd_unit;                  ///< that owns the cgroups; empty: they are ours
    bool keyring = true;                       ///< its programs have a session keyring of their own, by `exec` too
    bool process = true;                       ///< the configuration has a process, so that it can be started
    bool poststart = false, poststop = false;  ///< there are such hooks; they are in the kept configuration
};

/// The record of a container that this process begins to make: creating, from now on.
Record new_record(const oci::Spec& spec, const std::string& id, const std::string& bundle);

/// One line of JSON: the members of runtime.md's state, then our own.
std::string to_json(const Record& record);
/// @throws Error(corrupt)
Record parse_record(const std::string& json);

/// The directory of all states: as given, or the caller's default (see --root in options.hpp).
std::string default_root();
/// Opens `root` (empty: default_root(), made when missing and refused unless it is the caller's and private).
/// @param make  else a missing directory gives an empty handle
posix::UniqueFd open_root(const std::string& root, bool make);

/// The places where a container of the caller's may be: `root` alone where it is given; else the default, which may be
/// an empty handle, and every other place that was the default with other rights or in another session.
std::vector<posix::UniqueFd> open_roots(const std::string& root);

/// `<root>/<id>`, held by a lock for as long as its shim lives.
class StateDir {
public:
    /// Makes the directory with its lock already held: nobody ever sees it unlocked.
    /// @throws Error(exists) `container with given ID already exists`
    static StateDir create(const posix::UniqueFd& root, const std::string& id);
    /// The directory of a container that exists. @throws Error(not_found) `container does not exist`
    static StateDir open(const posix::UniqueFd& root, const std::string& id);

    void write(const Record& record);
    /// @throws Error(corrupt, not_found)
    Record read() const;
    /// What later verbs need of the configuration: exec, the hooks of start and delete.
    void keep_spec(const oci::Spec& spec) const;
    oci::Spec read_spec() const;
    /// The compiled seccomp filter as pack_filter() has it; empty when there is none.
    void keep_filter(const std::string& filter) const;
    std::string read_filter() const;
    /// Where the start socket lies.
    const posix::UniqueFd& handle() const noexcept { return dir_; }
    const std::string& id() const noexcept { return id_; }
    /// Set once the cgroups of the record were made by us: before that they are only planned, and whoever is in them is
    /// not ours.
    /// The name of the user whose container it is; `#` and his number where /etc/passwd has none.
    std::string owner_name() const;
    void mark_cgroups_made() const;
    bool cgroups_made() const;
    /// Set once `update` wrote more cgroups into the record: then whoever has the old list must read it again.
    void mark_cgroups_grown() const;
    bool cgroups_grown() const;

    /// True when its shim lives.
    bool locked_by_other();
    /// Takes the lock when it is free. False when another holds it, or when the directory was removed meanwhile.
    bool take_lock(bool& gone);
    /// Takes the lock, at most ten seconds later. @throws Error(not_found, unavailable)
    void wait_for_lock();
    /// The status as of now: the recorded one corrected by what runs, waits and is frozen.
    std::string status(const Record& record);
    /// The same for who knows already whether the record's process is there.
    std::string status(const Record& record, bool alive);
    /// Removes the directory and its files. Needs the lock.
    void remove();

private:
    StateDir() = default;
    void keep(const char* name, const std::string& text) const;
    std::string read_kept(const char* name, bool may_miss) const;
    posix::UniqueFd root_, dir_, lock_;
    std::string id_;
    bool written_ = false;
};

/// The container in the first of open_roots() that has it. @throws Error(not_found) `container does not exist`
StateDir find_state(const std::string& root, const std::string& id);
/// StateDir::create() below `root`, if none of open_roots() has it. @throws Error(exists)
StateDir create_state(const std::string& root, const std::string& id);

/// Removes the half-made state directories of processes that are gone: killed between mkdir and the final name.
void sweep_unborn(const posix::UniqueFd& root);

/// Field 22 of /proc/<pid>/stat; nothing when there is no such process, or only its remains (zombie, dead).
std::optional<std::uint64_t> process_start_time(pid_t pid);
/// A handle on the record's process, but only if it still is that process.
posix::UniqueFd open_process(const Record& record);
/// The state of a container as of now. @throws Error(not_found, corrupt)
oci::State state_now(StateDir dir);
/// Waits until the process of the handle has ended, at most five seconds.
void wait_for_end(const posix::UniqueFd& process);
/// The ids below `root`, sorted.
std::vector<std::string> list_ids(const posix::UniqueFd& root);

}  // namespace locald::shim
