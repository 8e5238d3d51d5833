// The caller's cgroups: part of the setuid prologue, as root. All below locald/user-<uid> is his to use, and what
// bounds the whole of it is not. Nothing here comes from the caller but his ids.

#include "shim/start/subtree.h"

#include <asm/statfs.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>

#include "shim/start/raw_call.h"
#include "shim/start/weakness.h"

#ifdef LOCALD_HAS_RAW_CALLS

struct caller {
    unsigned uid, gid;
    const struct locald_policy* policy;
    const char* name;  // of his directory
};

// @return 1 when the limit holds, or when there is no such controller here
static int write_guard(int dir, const char* file, uint64_t most) {
    if (most == ~(uint64_t)0) return 1;
    char number[24];
    struct locald_text text = {number, number + sizeof number};
    locald_add_number(&text, most);
    const int fd = locald_open(dir, file, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd < 0) return fd == -ENOENT;
    const long written = raw_call(SYS_write, fd, (long)number, text.at - number, 0, 0);
    raw_call(SYS_close, fd, 0, 0, 0, 0);
    return written == text.at - number;
}

// The limits of the whole subtree; no looser than the tightest on the caller's own way, whose cgroups it leaves.
static int guard(const struct caller* who, int mount, int dir, const char* controller) {
    const int v2 = *controller == 0;
    const uint64_t pids = locald_tightest(mount, controller, "pids.max", who->policy->pids);
    const char* const memory_file = v2 ? "memory.max" : "memory.limit_in_bytes";
    const uint64_t memory = locald_tightest(mount, controller, memory_file, who->policy->memory);
    if (!write_guard(dir, "pids.max", pids) || !write_guard(dir, memory_file, memory)) return 0;
    if (!v2) return 1;
    const uint64_t swap = locald_tightest(mount, controller, "memory.swap.max", ~(uint64_t)0);
    // A container has two cgroups; the foothold's is one more.
    return write_guard(dir, "memory.swap.max", swap) &&
           write_guard(dir, "cgroup.max.descendants", 2 * who->policy->containers + 1);
}

static void give(const struct caller* who, int dir, const char* name) {
    raw_call(SYS_fchownat, dir, (long)name, who->uid, who->gid, AT_SYMLINK_NOFOLLOW | (*name == 0 ? AT_EMPTY_PATH : 0));
}

// locald/user-<uid> of one hierarchy. It is the caller's last of all, so a subtree that is his is complete.
static int make_subtree(const struct caller* who, const char* mount_point, const char* controller) {
    const uint64_t inside = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    const int v2 = *controller == 0;
    const int mount = locald_open_directory(AT_FDCWD, mount_point, 0);
    if (mount < 0) return -1;
    struct statfs fs = {0};
    struct statx st;
    int base = -1, dir = -1, place = -1;
    if (raw_call(SYS_fstatfs, mount, (long)&fs, 0, 0, 0) == 0 &&
        (uint64_t)fs.f_type == (v2 ? (uint64_t)CGROUP2_SUPER_MAGIC : (uint64_t)CGROUP_SUPER_MAGIC)) {
        base = locald_open_directory(mount, "system.slice/locald.service", inside);
        if (base < 0) {
            raw_call(SYS_mkdirat, mount, (long)"locald", 0755, 0, 0);
            base = locald_open_directory(mount, "locald", inside);
        }
    }
    if (base >= 0) {
        raw_call(SYS_mkdirat, base, (long)who->name, 0755, 0, 0);
        dir = locald_open_directory(base, who->name, inside);
    }
    if (dir >= 0 && locald_look(dir, &st) == 0 && (st.stx_uid == who->uid || st.stx_uid == 0)) {
        if (v2) raw_call(SYS_mkdirat, dir, (long)"s", 0755, 0, 0);
        const int his = st.stx_uid == who->uid;
        const int guarded = his || guard(who, mount, dir, controller);
        if (!his && guarded) {
            give(who, dir, "cgroup.procs");
            give(who, dir, v2 ? "cgroup.threads" : "tasks");
            if (v2) give(who, dir, "cgroup.subtree_control");
            if (locald_weak("weak-limits")) give(who, dir, v2 ? "cgroup.max.descendants" : "pids.max");
            give(who, dir, "");
        }
        if (v2 && guarded) place = locald_open_directory(dir, "s", inside);
    }
    if (dir >= 0) raw_call(SYS_close, dir, 0, 0, 0, 0);
    if (base >= 0) raw_call(SYS_close, base, 0, 0, 0, 0);
    raw_call(SYS_close, mount, 0, 0, 0, 0);
    return place;
}

int locald_make_subtrees(unsigned uid, unsigned gid, const struct locald_policy* policy) {
    char name[32];
    struct locald_text text = {name, name + sizeof name};
    locald_add(&text, "user-");
    locald_add_number(&text, uid);
    const struct caller caller = {uid, gid, policy, name};
    const struct caller* const who = &caller;
    int place = make_subtree(who, "/sys/fs/cgroup", "");
    if (place >= 0) return place;
    place = make_subtree(who, "/sys/fs/cgroup/unified", "");
    // Never devices, net_cls, net_prio or cpuset: their rules are root's.
    make_subtree(who, "/sys/fs/cgroup/pids", "pids");
    make_subtree(who, "/sys/fs/cgroup/memory", "memory");
    make_subtree(who, "/sys/fs/cgroup/cpu", "cpu");
    make_subtree(who, "/sys/fs/cgroup/cpu,cpuacct", "cpu");
    make_subtree(who, "/sys/fs/cgroup/freezer", "freezer");
    return place;
}

#endif
