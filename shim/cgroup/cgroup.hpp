#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/cgroup/layout.hpp"
#include "shim/cgroup/wish.hpp"

namespace locald::shim {

struct PendingScope;

/// The cgroups of one container: one directory on v2, one a controller on v1 and hybrid. A container without any (no
/// rights, no hierarchy) has an empty one.
class Cgroup {
public:
    Cgroup() = default;

    /// The directories of the processes that create() would make, one a hierarchy: absolute, to be written into the
    /// state before the first of them exists. For our own caller's `…/<id>/c` the limits go to `<id>`, else to the same
    /// directory: the rule is limits_place(). Empty when this user may make none; for an ordinary user in a delegated
    /// v2 subtree a place there. Which hierarchies and why: hierarchies_for().
    /// @param wish  gets what create() would have to find out again
    /// @throws Error(exists) when a directory is there and has processes, or is frozen
    static std::vector<std::string> plan(const oci::Spec& spec, const std::string& id, CgroupWish* wish = nullptr);
    /// Makes the directories; on v1 with every limit of linux.resources, on v2 limit() writes those.
    /// Without rights: a warning in warnings() when nothing was asked, else Error that names limit, file and remedy.
    /// Device rules that the kernel refuses to anybody but host root are passed over for him. On an error nothing
    /// stays.
    static Cgroup create(const oci::Spec& spec, const std::vector<std::string>& planned,
                         std::optional<CgroupWish> wish = std::nullopt);
    /// Writes the limits and the device rules of v2. A process may be in it already, so that this is done while the
    /// container is being set up; before its program runs.
    void limit();
    /// Takes the directories away again that create() had to make on the way, where nothing else is in them: for a
    /// container that came to nothing. After remove().
    void remove_parents() const noexcept;
    /// The cgroups of a container that exists, from its state.
    /// @param unit  systemd's name for them; empty: we made them ourselves
    static Cgroup from_paths(std::vector<std::string> paths, std::string unit = {});

    /// The same two steps where systemd makes the cgroups (--systemd-cgroup): the unit's name, where it will probably
    /// be, and what is to hold in it. Nothing is asked of systemd yet: it wants a process to put there.
    static std::vector<std::string> plan_scope(const oci::Spec& spec, const std::string& id, std::string& unit);
    bool has_scope() const noexcept { return pending_ != nullptr; }
    static Cgroup create_scope(const oci::Spec& spec, const std::string& id, const std::vector<std::string>& planned);
    /// The third step: the unit with `pid` in it, and the limits that a unit cannot express. paths() are then where it
    /// really is. False when there is nothing to start. The process can go on with what needs no cgroup meanwhile.
    bool start_scope(pid_t pid);

    /// Moves the container's first process into the cgroup of the annotation run.oci.delegate-cgroup: once it has made
    /// its cgroup namespace, which is to begin above. paths() stay: they have the limits.
    void hand_over(pid_t pid, const oci::Spec& spec) const;

    /// The v2 directory to be born in (CLONE_INTO_CGROUP), opened O_PATH; empty when there is none.
    const posix::UniqueFd& birth_place() const noexcept { return v2_; }
    /// Moves a process into every v1 directory, and into the v2 one when it was not born there.
    void attach(pid_t pid, bool born_in_v2) const;
    /// Kills all that is in it (cgroup.kill; v1: freeze, kill, thaw) and waits until it is empty.
    void kill_all() const;
    /// rmdir, deepest first, children too, EBUSY retried for a while. Of the levels above only our own
    /// (/locald/user-<uid>), when they are empty.
    void remove() const;
    /// True when the kernel killed something here for memory.
    bool oom_killed() const;
    std::vector<pid_t> processes() const;
    /// Applies changed resources to the container; what `change` leaves out stays. paths() grows by the v1 hierarchies
    /// that no limit needed before: they belong into the state.
    /// @param will_make  told all paths, with one more, before that one is made
    /// @throws Error that names the field, its file and the kernel's words; what was written before it stays
    using WillMake = std::function<void(const std::vector<std::string>& planned)>;
    void update(const oci::Resources& change, const WillMake& will_make = {});
    /// Stops every process where it is, and waits until all are; thaw() lets them go on.
    /// @throws Error(unsupported) without a freezer, Error(unavailable) when it is not done after 10 s
    void freeze() const;
    void thaw() const;

    const std::vector<std::string>& paths() const noexcept { return paths_; }
    const std::vector<std::string>& warnings() const noexcept { return warnings_; }

private:
    void stop_unit() const;
    void update_unit(const oci::Resources& change) const;

    std::vector<std::string> paths_;
    std::vector<std::string> warnings_;
    posix::UniqueFd v2_;
    std::string unit_;
    std::shared_ptr<const PendingScope> pending_;
    CgroupWish wish_;
    std::vector<PendingLimits> pending_limits_;
    std::vector<std::string> made_;
};

/// True when the container with these recorded paths was frozen (pause). Two system calls more than opening one file.
bool is_frozen(const std::vector<std::string>& cgroups);

}  // namespace locald::shim
