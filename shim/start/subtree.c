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

int locald_refuse(const char* what, const char* object, const char* why, long error) {
    struct locald_text text = {locald_rights.words, locald_rights.words + sizeof locald_rights.words};
    locald_add(&text, what);
    locald_add(&text, object);
    locald_add(&text, why);
    locald_rights.mode = locald_refused;
    locald_rights.error = (int)-error;  // the C library finds the kernel's words for it later
    return -1;
}

struct caller {
    unsigned uid, gid;
    const struct locald_policy* policy;
    const char* name;  // of his directory
    int turn;          // descriptor of what is locked while guards change; -1: not yet
};

enum { failed = -1, kept = 0, done = 1 };

// @return done, also when there is no such controller here; kept: the kernel stays with what it had
static int write_guard(int dir, const char* file, uint64_t most, const char* none) {
    char number[24];
    struct locald_text text = {number, number + sizeof number};
    if (most == ~(uint64_t)0) {
        locald_add(&text, none);
    } else {
        locald_add_number(&text, most);
    }
    const int fd = locald_open(dir, file, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd == -ENOENT) return done;
    const long written = fd < 0 ? fd : raw_call(SYS_write, fd, (long)number, text.at - number, 0, 0);
    if (fd >= 0) raw_call(SYS_close, fd, 0, 0, 0, 0);
    if (written == -EBUSY) {
        struct locald_text warning = {locald_rights.warning, locald_rights.warning + sizeof locald_rights.warning};
        locald_add(&warning,
                   "the memory limit of your containers together (`memory` in /etc/locald/shim.conf) stays as it was: "
                   "version 1 of cgroups says EBUSY for this value, as it does while more than that is in use; the "
                   "next start tries again: ");
        locald_add(&warning, file);
        return kept;
    }
    if (written == text.at - number) return done;
    return locald_refuse("write the limit of the caller's containers together, ", "locald/user-<uid>/", file, written);
}

// The limits of the whole subtree; no looser than the tightest on the caller's own way, whose cgroups it leaves.
// @return the first that is not done
static int guard(const struct caller* who, int mount, int dir, const char* controller) {
    const int v2 = *controller == 0;
    const uint64_t pids = locald_tightest(mount, controller, "pids.max", who->policy->pids);
    const char* const memory_file = v2 ? "memory.max" : "memory.limit_in_bytes";
    const uint64_t memory = locald_tightest(mount, controller, memory_file, who->policy->memory);
    int result = write_guard(dir, "pids.max", pids, "max");
    if (result == done) result = write_guard(dir, memory_file, memory, v2 ? "max" : "-1");
    if (result != done || !v2) return result;
    const uint64_t swap = locald_tightest(mount, controller, "memory.swap.max", ~(uint64_t)0);
    result = write_guard(dir, "memory.swap.max", swap, "max");
    if (result != done) return result;
    // A container has two cgroups; the foothold's is one more.
    return write_guard(dir, "cgroup.max.descendants", 2 * who->policy->containers + 1, "max");
}

// Which limits of the policy a subtree's guards were made from is kept as the modification time of one of them: kernfs
// keeps what is set, a write leaves it, and only the file's owner may set it, who is root.

static const char* marked_file(const char* controller) {
    return *controller == 0                    ? "cgroup.max.descendants"
           : locald_same(controller, "pids")   ? "pids.max"
           : locald_same(controller, "memory") ? "memory.limit_in_bytes"
                                               : NULL;
}

// Which limit files there are: those of a controller that root enables later have no guard yet.
static unsigned has(int dir, const char* file) {
    struct statx st;
    return raw_call(SYS_statx, dir, (long)file, AT_SYMLINK_NOFOLLOW, STATX_MODE, (long)&st) == 0;
}
static unsigned limit_files(int dir) {
    return has(dir, "pids.max") | has(dir, "memory.max") << 1 | has(dir, "memory.swap.max") << 2;
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
    char path[40];
    if (who->turn >= 0) return 1;
    struct locald_text text = {path, path + sizeof path};
    locald_add(&text, "/run/locald/");
    locald_add_number(&text, who->uid);
    const int fd = locald_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    const struct __kernel_timespec pause = {0, 20000000};
    long error = fd < 0 ? fd : raw_call(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0);
    // He may hold it himself: no signal but SIGKILL would end a wait for that.
    for (int left = 250; (error == -EAGAIN || error == -EINTR) && left > 0; --left) {
        raw_call(SYS_nanosleep, (long)&pause, 0, 0, 0, 0);
        error = raw_call(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0, 0);
    }
    if (error != 0) {
        locald_refuse("lock ", path, "", error);
    } else if (locald_read_policy(&now, locald_rights.words, sizeof locald_rights.words) != 0) {
        locald_rights.mode = locald_refused;
    }
    if (locald_rights.mode == locald_refused) {
        if (fd >= 0) raw_call(SYS_close, fd, 0, 0, 0, 0);
        return 0;
    }
    who->turn = fd;
    if (!locald_weak("weak-turn")) who->policy = &now;
    return 1;
}

static void give(const struct caller* who, int dir, const char* name) {
    raw_call(SYS_fchownat, dir, (long)name, who->uid, who->gid, AT_SYMLINK_NOFOLLOW | (*name == 0 ? AT_EMPTY_PATH : 0));
}

// locald/user-<uid> of one hierarchy. It is the caller's last of all, so a subtree that is his is complete.
static int make_subtree(struct caller* who, const char* mount_point, const char* controller) {
    const int v2 = *controller == 0;
    const int mount = locald_rights.mode == locald_refused ? -ENOENT : locald_open_directory(AT_FDCWD, mount_point, 0);
    if (mount == -ENOENT || mount == -ENOTDIR) return -1;
    struct statfs fs = {0};
    struct statx st;
    int base = mount < 0 ? mount : -EIO, dir = -ENOENT, place = -1;
    if (mount >= 0 && raw_call(SYS_fstatfs, mount, (long)&fs, 0, 0, 0) == 0) {
        if ((uint64_t)fs.f_type != (v2 ? (uint64_t)CGROUP2_SUPER_MAGIC : (uint64_t)CGROUP_SUPER_MAGIC)) goto end;
        base = locald_open_directory(mount, "system.slice/locald.service",
                                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
        if (base == -ENOENT) base = locald_make_directory(mount, "locald", 0755);
        dir = base < 0 ? base : locald_make_directory(base, who->name, 0755);
    }
    // Where root himself may not write there is no place for anybody.
    if (base == -EROFS || base == -EACCES || base == -EPERM || dir == -EROFS || dir == -EACCES || dir == -EPERM)
        goto end;
    if (mount < 0 || base < 0 || dir < 0) {
        locald_refuse("make the caller's cgroup locald/user-<uid> in ", mount_point, "", base < 0 ? base : dir);
    } else if (locald_look(dir, &st) != 0 || (st.stx_uid != who->uid && st.stx_uid != 0)) {
        locald_refuse("the caller's cgroup locald/user-<uid> belongs to another user, in ", mount_point, "", 0);
    } else {
        if (v2) place = locald_make_directory(dir, ".start", 0755);
        int guarded = st.stx_uid == who->uid && is_marked(who, dir, controller) ? done : kept;
        if (guarded != done && take_turn(who)) {
            // Anew, because it may have been another's turn until now.
            const int his = locald_look(dir, &st) == 0 && st.stx_uid == who->uid;
            const unsigned files = limit_files(dir);
            guarded = his && is_marked(who, dir, controller) ? done : guard(who, mount, dir, controller);
            if (guarded == done) set_mark(who, dir, controller, files);
        }
        if (st.stx_uid == 0 && guarded == done) {
            give(who, dir, "cgroup.procs");
            give(who, dir, v2 ? "cgroup.threads" : "tasks");
            if (v2) give(who, dir, "cgroup.subtree_control");
            if (locald_weak("weak-limits")) give(who, dir, v2 ? "cgroup.max.descendants" : "pids.max");
            give(who, dir, "");
        }
        if (locald_rights.mode != locald_refused && st.stx_uid == 0 && guarded == kept)
            locald_refuse("write the limit of the caller's containers together, ", "memory.limit_in_bytes", "", -EBUSY);
        if (locald_rights.mode != locald_refused && v2 && place < 0)
            locald_refuse("make the caller's cgroup ", "locald/user-<uid>/.start", "", place);
    }
end:
    if (dir >= 0) raw_call(SYS_close, dir, 0, 0, 0, 0);
    if (base >= 0) raw_call(SYS_close, base, 0, 0, 0, 0);
    if (mount >= 0) raw_call(SYS_close, mount, 0, 0, 0, 0);
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
    struct caller who = {uid, gid, policy, name, -1};
    int place = make_subtree(&who, "/sys/fs/cgroup", "");
    if (place < 0) place = make_hybrid_subtrees(&who);
    if (who.turn >= 0) raw_call(SYS_close, who.turn, 0, 0, 0, 0);
    if (place < 0 || locald_rights.mode != locald_refused) return place;
    raw_call(SYS_close, place, 0, 0, 0, 0);
    return -1;
}

#endif
