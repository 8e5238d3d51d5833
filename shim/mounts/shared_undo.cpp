#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/base/sync.hpp"
#include "shim/mounts/mount_api.hpp"
#include "shim/mounts/mount_id.hpp"
#include "shim/mounts/mount_table.hpp"
#include "shim/mounts/shared_root.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

/// The namespace, if that is what `path` leads to now.
UniqueFd open_if_it(const std::string& path, std::uint64_t inode) {
    UniqueFd at(::open(path.c_str(), O_PATH | O_CLOEXEC));  // looked at before it is opened: it may be a FIFO by now
    struct statfs fs {};
    struct stat st {};
    if (!at || ::fstatfs(at.get(), &fs) != 0 || fs.f_type != NSFS_MAGIC || ::fstat(at.get(), &st) != 0 ||
        st.st_ino != inode) {
        return {};
    }
    return posix::open("/proc/self/fd/" + std::to_string(at.get()), O_RDONLY);
}

/// By the configuration's path, else through any process that is in it. Where there is none it has ended, mostly, and
/// its mounts with it.
UniqueFd find_namespace(const SharedRoot& shared) {
    if (!shared.namespace_path.empty()) {
        if (UniqueFd found = open_if_it(shared.namespace_path, shared.mount_namespace)) return found;
    }
    struct Close {
        void operator()(DIR* dir) const noexcept { ::closedir(dir); }
    };
    const std::unique_ptr<DIR, Close> processes(::opendir("/proc"));
    if (!processes) throw_errno(errno, "read /proc");
    for (const dirent* entry = nullptr; (entry = ::readdir(processes.get())) != nullptr;) {
        if (!parse_u64(entry->d_name)) continue;
        const std::string path = std::string("/proc/") + entry->d_name + "/ns/mnt";
        if (UniqueFd found = open_if_it(path, shared.mount_namespace)) return found;
    }
    return {};
}

/// What is seen at the mount's place: the mount, or what covers it.
struct Seen {
    bool gone = false;
    UniqueFd top{};  ///< empty: something that is not on the mount hides it
};

Seen look(const SharedRoot& shared, const UniqueFd& proc) {
    std::uint64_t number = shared.mount;
    if (shared.unique_mount != 0) {
        const auto known = find_unique_mount(shared.unique_mount);
        if (!known) return {true, {}};
        number = *known;
    }
    const auto file = posix::openat(proc, "self/mountinfo", O_RDONLY);
    const auto table = parse_mount_table(posix::read_all(file, "mountinfo", 64U << 20U));
    const auto mine = std::find_if(table.begin(), table.end(), [&](const auto& entry) { return entry.id == number; });
    if (mine == table.end()) return {true, {}};
    UniqueFd top(::open(mine->place.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!top) return {};
    const MountId id = mount_id_of(top);
    if (id.number == number) {
        // A number alone may be another mount's by now, and after a restart of the machine a unique one too.
        const struct stat st = posix::fstat(top, mine->place);
        const bool same = st.st_dev == shared.device && st.st_ino == shared.inode &&
                          (shared.unique_mount == 0 || id.unique == shared.unique_mount);
        return {!same, std::move(top)};
    }
    if (shared.unique_mount == 0 && mine->device != shared.device) return {true, {}};
    if (mine->place != shared.place || !is_on_mount(table, id.number, number)) return {};
    return {false, std::move(top)};
}

/// In the namespace: whatever is on top of the mount, layer by layer, then the mount.
void take_away(const SharedRoot& shared, const UniqueFd& proc) {
    const std::string what = "unmount the container's root filesystem";
    constexpr int most_layers = 1000, most_tries = 5;
    for (int layer = 0, tries = 0; layer < most_layers; ++layer) {
        const Seen seen = look(shared, proc);
        if (seen.gone) return;
        if (!seen.top) {
            // A directory above may just have been renamed.
            if (++tries < most_tries) continue;
            throw Error(ErrorKind::unavailable, what + ": another mount hides " + shared.place, EBUSY)
                .with_remedy("unmount what covers it");
        }
        // A bind that was made a peer of its source would take the mounts below that along.
        change_mount(seen.top, true, 0, 0, MS_PRIVATE, what);
        // By the descriptor, not by a name that leads elsewhere tomorrow. The kernel goes up from here to what covers
        // it: nothing but what is on the container's mount.
        if (::fchdir(seen.top.get()) != 0 || ::umount2(".", MNT_DETACH) != 0) throw_errno(errno, what);
    }
    throw Error(ErrorKind::unavailable, what + ": it is covered again and again", EBUSY);
}

[[noreturn]] void undo_main(const SharedRoot& shared, const UniqueFd& namespace_fd, const UniqueFd& tell) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    try {
        const UniqueFd proc = posix::open("/proc", O_PATH | O_DIRECTORY);  // in there it may be another, or none
        if (namespace_fd && ::setns(namespace_fd.get(), CLONE_NEWNS) != 0) {
            throw_errno(errno, "join the mount namespace that the container shared");
        }
        take_away(shared, proc);
        send(tell, Sync::mounted);
    } catch (const Error& e) {
        send_last_error(tell, e);
    }
    ::_exit(0);
}

}  // namespace

void undo_shared_root(const SharedRoot& shared) {
    UniqueFd namespace_fd;
    if (posix::fstat(posix::open("/proc/self/ns/mnt", O_PATH), "mount namespace").st_ino != shared.mount_namespace) {
        namespace_fd = find_namespace(shared);
        if (!namespace_fd) return;
    }
    // A process of its own: its namespace and working directory are not ours.
    auto [words, tell] = posix::make_socket_pair();
    clone_args args{};
    args.exit_signal = SIGCHLD;
    const pid_t helper = posix::clone3(args);
    if (helper == 0) undo_main(shared, namespace_fd, tell);
    tell.reset();
    const auto reap = [&] {
        while (::waitpid(helper, nullptr, 0) < 0 && errno == EINTR) {
        }
    };
    try {
        wait_for(words, Sync::mounted);
    } catch (...) {
        reap();
        throw;
    }
    reap();
}

}  // namespace locald::shim
