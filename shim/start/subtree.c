// The caller's cgroups: part of the setuid prologue, as root. All below locald/user-<uid> is his to use, and what
// bounds the whole of it is not. Nothing here comes from the caller but his ids.

#include "shim/start/subtree.h"

#include <asm/statfs.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <stddef.h>

#include "shim/start/raw_call.h"
#include "shim/start/rights.h"
#include "shim/start/weakness.h"
#include "shim/start/words.h"

#ifdef LOCALD_HAS_RAW_CALLS

struct caller {
    unsigned uid, gid;
    const struct locald_policy* policy;
    const char* name;  // of his directory
    int turn;          // descriptor of what is locked while guards change; -1: not yet
};

// @return 1 when the limit holds, or when there is no such controller here
static int write_guard(int dir, const char* file, uint64_t most, const char* none) {
    char number[24];
    struct locald_text text = {number, number + sizeof number};
    if (most == ~(uint64_t)0) {
        locald_add(&text, none);
    } else {
        locald_add_number(&text, most);
    }
    const int fd = locald_open(dir, file, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd < 0) return fd == -ENOENT;
    const long written = raw_call(SYS_write, fd, (long)number, text.at - number, 0, 0);
    raw_call(SYS_close, fd, 0, 0, 0, 0);
    if (written == -EBUSY && locald_rights.warning[0] == 0) {
        struct locald_text warning = {locald_rights.warning, locald_rights.warning + sizeof locald_rights.warning};
        locald_add(&warning,
                   "the memory limit of your containers together (`memory` in /etc/locald/shim.conf) was lowered "
                   "below what they use, and stays as it was until a start finds less in use: ");
        locald_add(&warning, file);
        locald_add(&warning, " of version 1 takes no such value");
    }
    return written == text.at - number;
}

// The limits of the whole subtree; no looser than the tightest on the caller's own way, whose cgroups it leaves.
static int guard(const struct caller* who, int mount, int dir, const char* controller) {
    const int v2 = *controller == 0;
    const uint64_t pids = locald_tightest(mount, controller, "pids.max", who->policy->pids);
    const char* const memory_file = v2 ? "memory.max" : "memory.limit_in_bytes";
    const uint64_t memory = locald_tightest(mount, controller, memory_file, who->policy->memory);
    if (!write_guard(dir, "pids.max", pids, "max")) return 0;
    if (!write_guard(dir, memory_file, memory, v2 ? "max" : "-1")) return 0;
    if (!v2) return 1;
    const uint64_t swap = locald_tightest(mount, controller, "memory.swap.max", ~(uint64_t)0);
    // A container has two cgroups; the foothold's is one more.
    return write_guard(dir, "memory.swap.max", swap, "max") &&
           write_guard(dir, "cgroup.max.descendants", 2 * who->policy->containers + 1, "max");
}

// ---------------------------------------------------------------- the mark

// Which limits of the policy a subtree's guards were made from is kept as the modification time of one of them: kernfs
// keeps what is set, a write leaves it, and only the file's owner may set it, who is root.

static const char* marked_file(const char* controller) {
    return *controller == 0                    ? "cgroup.max.descendants"
           : locald_same(controller, "pids")   ? "pids.max"
           : locald_same(controller, "memory") ? "memory.limit_in_bytes"
                                               : NULL;
}

// Which limit files there are: those of a controller that root enables later have no guard yet.
static unsigned limit_files(int dir) {
    static const char* const files[] = {"pids.max", "memory.max", "memory.swap.max"};
    unsigned found = 0;
    for (unsigned i = 0; i < sizeof files / sizeof *files; ++i) {
        struct statx st;
        if (raw_call(SYS_statx, dir, (long)files[i], AT_SYMLINK_NOFOLLOW, STATX_MODE, (long)&st) == 0) found |= 1U << i;
    }
    return found;
}

// @param files  those that were there before the guards were written
static struct __kernel_timespec mark_of(const struct locald_policy* policy, unsigned files) {
    const uint64_t values[] = {policy->containers, policy->pids, policy->memory, files};
    uint64_t mark = 1;  // another number when guard() makes something else of the same values
    for (unsigned i = 0; i < sizeof values / sizeof *values; ++i) {
        mark = (mark ^ values[i]) * 0x9e3779b97f4a7c15U;
        mark ^= mark >> 32;
    }
    const struct __kernel_timespec time = {(long long)(mark >> 33), (long long)(mark & 0x1fffffff)};
    return time;
}

static int is_marked(const struct caller* who, int dir, const char* controller) {
    const char* const file = marked_file(controller);
    if (file == NULL) return 1;
    const struct __kernel_timespec mark = mark_of(who->policy, limit_files(dir));
    struct statx st;
    st.stx_mtime.tv_sec = -1;
    st.stx_mtime.tv_nsec = 0;
    return raw_call(SYS_statx, dir, (long)file, AT_SYMLINK_NOFOLLOW, STATX_MTIME, (long)&st) == 0 &&
           st.stx_mtime.tv_sec == mark.tv_sec && st.stx_mtime.tv_nsec == (uint32_t)mark.tv_nsec;
}

static void set_mark(const struct caller* who, int dir, const char* controller, unsigned files) {
    const char* const file = marked_file(controller);
    if (file == NULL) return;
    const struct __kernel_timespec mark = mark_of(who->policy, files);
    const struct __kernel_timespec times[2] = {mark, mark};
    raw_call(SYS_utimensat, dir, (long)file, (long)times, AT_SYMLINK_NOFOLLOW, 0);
}

// Guards change one start at a time, by the policy as it is then: the caller may stop a start of his that has read an
// older one, and let it go on when root has lowered a limit. What is locked nobody else can open.
static int take_turn(struct caller* who) {
    static struct locald_policy now;
    char path[40], words[8];
    if (who->turn >= 0) return 1;
    struct locald_text text = {path, path + sizeof path};
    locald_add(&text, "/run/locald/");
    locald_add_number(&text, who->uid);
    const int fd = locald_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (fd < 0) return 0;
    if (raw_call(SYS_flock, fd, LOCK_EX, 0, 0, 0) != 0 || locald_read_policy(&now, words, sizeof words) != 0) {
        raw_call(SYS_close, fd, 0, 0, 0, 0);
        return 0;
    }
    who->turn = fd;
    if (!locald_weak("weak-turn")) who->policy = &now;
    return 1;
}

// ---------------------------------------------------------------- the subtree

static void give(const struct caller* who, int dir, const char* name) {
    raw_call(SYS_fchownat, dir, (long)name, who->uid, who->gid, AT_SYMLINK_NOFOLLOW | (*name == 0 ? AT_EMPTY_PATH : 0));
}

// locald/user-<uid> of one hierarchy. It is the caller's last of all, so a subtree that is his is complete.
static int make_subtree(struct caller* who, const char* mount_point, const char* controller) {
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
        int guarded = st.stx_uid == who->uid && is_marked(who, dir, controller);
        if (!guarded && take_turn(who)) {
            // Anew, because it may have been another's turn until now.
            const int his = locald_look(dir, &st) == 0 && st.stx_uid == who->uid;
            guarded = his && is_marked(who, dir, controller);
            const unsigned files = limit_files(dir);
            if (!guarded && guard(who, mount, dir, controller)) {
                set_mark(who, dir, controller, files);
                guarded = 1;
            }
        }
        if (st.stx_uid == 0 && guarded) {
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

static int make_hybrid_subtrees(struct caller* who) {
    const int place = make_subtree(who, "/sys/fs/cgroup/unified", "");
    // Never devices, net_cls, net_prio or cpuset: their rules are root's.
    make_subtree(who, "/sys/fs/cgroup/pids", "pids");
    make_subtree(who, "/sys/fs/cgroup/memory", "memory");
    make_subtree(who, "/sys/fs/cgroup/cpu", "cpu");
    make_subtree(who, "/sys/fs/cgroup/cpu,cpuacct", "cpu");
    make_subtree(who, "/sys/fs/cgroup/freezer", "freezer");
    return place;
}

int locald_make_subtrees(unsigned uid, unsigned gid, const struct locald_policy* policy) {
    char name[32];
    struct locald_text text = {name, name + sizeof name};
    locald_add(&text, "user-");
    locald_add_number(&text, uid);
    struct caller caller = {uid, gid, policy, name, -1};
    struct caller* const who = &caller;
    int place = make_subtree(who, "/sys/fs/cgroup", "");
    if (place < 0) place = make_hybrid_subtrees(who);
    if (who->turn >= 0) raw_call(SYS_close, who->turn, 0, 0, 0, 0);
    return place;
}

#endif
