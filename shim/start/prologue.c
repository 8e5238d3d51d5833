// The setuid prologue: all that ever runs as root for an ordinary user, in the order in which it runs.
//
//   who        real ids and effective capabilities, as the kernel says them; verbs that make no process go on at
//   "become" settle     undumpable, signals held back, descriptors 0-2, soft limits, working directory, umask, no
//   environment admit      root's policy file: may this caller use the shim at all? (root_files.c reads it) grants the
//   caller's ranges in /etc/subuid and /etc/subgid (root_files.c) places     /run/locald/<uid>; his cgroup subtree
//   locald/user-<uid>, whose own limits stay root's (subtree.c) become     the caller's ids, four capabilities left
//   foothold   a process in that subtree, with the caller's rights and no others
//   namespace  a user namespace that the caller owns, and its id maps
//   give up    no id and no capability of root's is left, and that is looked at
//   restore    what "settle" changed
//
// It reads argv for the verb, /etc/locald/shim.conf, /etc/passwd, /etc/group, /etc/subuid, /etc/subgid, and nothing
// else: no environment, no config.json, no path of the caller's. It executes no program. What comes later, the whole
// runtime, has the caller's rights, and the kernel keeps it in them.
//
// No C library: it has not begun yet, and so it has read nothing. No heap, no pointers in static data (nothing is
// relocated yet), no errno. A refusal is a text in locald_rights.words; it is said and logged when root is gone.
//
// Inherited descriptors above 2 stay open and are not used: engines hand some over (--preserve-fds, LISTEN_FDS), and
// every descriptor that is used here was opened here.

#include "shim/start/prologue.h"

#include <asm/statfs.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <linux/wait.h>
#include <signal.h>
#include <stddef.h>

#include "shim/start/birth.h"
#include "shim/start/raw_call.h"
#include "shim/start/rights.h"
#include "shim/start/root_files.h"
#include "shim/start/subtree.h"
#include "shim/start/weakness.h"
#include "shim/start/words.h"

struct locald_rights locald_rights = {.user_namespace = -1};

#ifdef LOCALD_HAS_RAW_CALLS

enum { at_least = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_SETGID | 1 << CAP_SETUID | 1 << CAP_SYS_ADMIN };
/// Of these five chown is done when the ids change.
enum { while_caller = at_least & ~(1 << CAP_CHOWN) };
enum { limits_known = 16 };

struct limit {
    uint64_t soft, hard;
};

static struct {
    unsigned uid, gid;
    int is_caller;  // "become" is done
    int wants_birth, wants_namespace;
    int keeps_ids;          // --keep-id: his own id is the same inside
    int place;              // O_PATH of locald/user-<uid>/.start on cgroup v2; -1: there is none
    int working_directory;  // O_PATH
    int filled[3];          // 0-2: 1 when it was closed
    long umask;
    uint64_t signals;  // the mask as it was
    struct limit limits[limits_known];
    char* first_variable;  // of the environment
    struct locald_policy policy;
    struct locald_ranges uids, gids;
    uint32_t foothold_turn;   // futex: 1 its rights are given up
    uint32_t namespace_turn;  // futex: 1 opened, 2 mapped
    long namespace_result;
    int parent;
    uint32_t kept;  // capabilities after "become"
} it;

static char foothold_stack[512 * 1024] __attribute__((aligned(4096)));
static char namespace_stack[16 * 1024] __attribute__((aligned(4096)));

static int refuse(const char* what, const char* object, const char* why) { return locald_refuse(what, object, why, 0); }

static int refuse_call(const char* what, const char* object, long error) {
    return locald_refuse(what, object, "", error);
}

// ---------------------------------------------------------------- who

struct capabilities {
    uint32_t effective[2], permitted[2], inheritable[2];
};

static long get_capabilities(struct capabilities* out) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    const long result = raw_call(SYS_capget, (long)&header, (long)data, 0, 0, 0);
    for (int i = 0; i < 2; ++i) {
        out->effective[i] = data[i].effective;
        out->permitted[i] = data[i].permitted;
        out->inheritable[i] = data[i].inheritable;
    }
    return result;
}

static long set_capabilities(uint32_t low) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const struct __user_cap_data_struct data[2] = {{low, low, 0}, {0, 0, 0}};
    return raw_call(SYS_capset, (long)&header, (long)data, 0, 0, 0);
}

// The verb decides what is made, if anything: the options before it are those of global_options.cpp.
static void read_verb(char** argv) {
    if (*argv == NULL) return;
    for (++argv; *argv != NULL && **argv == '-'; ++argv) {
        const char* word = *argv;
        const int takes_value = locald_same(word, "--root") || locald_same(word, "--log") ||
                                locald_same(word, "--log-format") || locald_same(word, "--log-level") ||
                                locald_same(word, "--cgroup-manager") || locald_same(word, "--rootless") ||
                                locald_same(word, "--criu");
        if (takes_value && *++argv == NULL) return;
    }
    if (*argv == NULL) return;
    const int starts = locald_makes_container(*argv);
    it.wants_birth = starts || locald_same(*argv, "exec");
    it.wants_namespace = starts || locald_same(*argv, "userns");
    // As a word anywhere: all that it can do is to move the caller's own ids to another place of his own namespace.
    while (it.wants_namespace && *++argv != NULL) it.keeps_ids |= locald_same(*argv, "--keep-id");
}

// ---------------------------------------------------------------- settle

// FSIZE, DATA, CORE, NPROC, NOFILE, AS: what could make our own calls fail half-way. Hard limits stay.
static int is_settled(int limit) {
    return limit == 1 || limit == 2 || limit == 4 || limit == 6 || limit == 7 || limit == 9;
}

static void settle(char** envp) {
    raw_call(SYS_setresgid, -1, 0, -1, 0, 0);  // what is made here is root's in both
    raw_call(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
    const uint64_t all = ~(uint64_t)0;
    raw_call(SYS_rt_sigprocmask, SIG_SETMASK, locald_weak("weak-signals") ? 0 : (long)&all, (long)&it.signals,
             sizeof all, 0);
    it.first_variable = *envp;
    *envp = NULL;
    for (int i = 0; i < limits_known; ++i) {
        if (!is_settled(i)) continue;
        if (raw_call(SYS_prlimit64, 0, i, 0, (long)&it.limits[i], 0) != 0) continue;
        const struct limit whole = {i == 4 ? 0 : it.limits[i].hard, it.limits[i].hard};
        raw_call(SYS_prlimit64, 0, i, (long)&whole, 0, 0);
    }
    for (int fd = 0; fd <= 2; ++fd) {
        if (raw_call(SYS_fcntl, fd, 1 /* F_GETFD */, 0, 0, 0) >= 0) continue;
        const long null = raw_call(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR, 0, 0);
        it.filled[fd] = null == fd;
        if (null >= 0 && null != fd) raw_call(SYS_close, null, 0, 0, 0, 0);  // one below it could not be filled
    }
    it.umask = raw_call(SYS_umask, 022, 0, 0, 0, 0);
    it.working_directory = (int)raw_call(SYS_openat, AT_FDCWD, (long)".", O_PATH | O_CLOEXEC, 0, 0);
    raw_call(SYS_chdir, (long)"/", 0, 0, 0, 0);
}

// Also in the foothold, which has limits, umask and directory of its own.
static void restore_process(void) {
    for (int i = 0; i < limits_known; ++i) {
        if (is_settled(i)) raw_call(SYS_prlimit64, 0, i, (long)&it.limits[i], 0, 0);
    }
    raw_call(SYS_umask, it.umask, 0, 0, 0, 0);
    if (it.working_directory >= 0) raw_call(SYS_fchdir, it.working_directory, 0, 0, 0, 0);
}

static void restore(char** envp) {
    restore_process();
    if (it.working_directory >= 0) raw_call(SYS_close, it.working_directory, 0, 0, 0, 0);
    for (int fd = 0; fd <= 2; ++fd) {
        if (!it.filled[fd]) continue;  // what root opened is opened anew by the caller
        raw_call(SYS_close, fd, 0, 0, 0, 0);
        raw_call(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR, 0, 0);
    }
    *envp = it.first_variable;
    raw_call(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);  // nothing is left that a tracer could drive
    raw_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&it.signals, 0, sizeof it.signals, 0);
}

static int is_member(unsigned group) {
    static unsigned groups[65536];  // NGROUPS_MAX
    if (group == it.gid) return 1;
    const long count = raw_call(SYS_getgroups, sizeof groups / sizeof *groups, (long)groups, 0, 0, 0);
    for (long i = 0; i < count; ++i) {
        if (groups[i] == group) return 1;
    }
    return 0;
}

static int admit(void) {
    if (locald_read_policy(&it.policy, locald_rights.words, sizeof locald_rights.words) != 0) {
        locald_rights.mode = locald_refused;
        return -1;
    }
    if (!it.policy.has_group || is_member(it.policy.group) || locald_weak("weak-policy")) return 0;
    locald_rights.members_only = 1;
    return refuse(it.policy.group_name, "", "");
}

static int read_grants(void) {
    char name[locald_longest_name];
    locald_find_user(it.uid, name);
    const int failed = locald_read_ranges("/etc/subuid", name, it.uid, it.uid, &it.policy, &it.uids,
                                          locald_rights.words, sizeof locald_rights.words) != 0 ||
                       locald_read_ranges("/etc/subgid", name, it.uid, it.gid, &it.policy, &it.gids,
                                          locald_rights.words, sizeof locald_rights.words) != 0;
    if (failed) {
        locald_rights.mode = locald_refused;
        return -1;
    }
    // One without the other would leave half of an image's owners unmapped: then it is the caller's own ids alone.
    locald_rights.full_map = it.uids.count > 0 && it.gids.count > 0;
    return 0;
}

// ---------------------------------------------------------------- places

// /run/locald/<uid>, 0700. Its parent is root's, so nobody exchanges it meanwhile.
static int make_state_directory(void) {
    raw_call(SYS_mkdirat, AT_FDCWD, (long)"/run/locald", 0755, 0, 0);
    const int run = locald_open_directory(AT_FDCWD, "/run/locald", 0);
    struct statx st;
    if (run < 0) return refuse_call("open the directory of states ", "/run/locald", run);
    char name[24];
    struct locald_text text = {name, name + sizeof name};
    locald_add_number(&text, it.uid);
    int result = 0;
    if (locald_look(run, &st) != 0 || st.stx_uid != 0 || (st.stx_mode & 022) != 0) {
        result = refuse("/run/locald must be root's alone to write", "", "; remove it, it is made anew");
    } else {
        const int own = locald_make_directory(run, name, 0700);
        if (own < 0 || locald_look(own, &st) != 0) {
            result = refuse_call("make the caller's directory of states /run/locald/", name, own);
        } else if (st.stx_uid == 0) {  // new
            const long error = raw_call(SYS_fchownat, own, (long)"", it.uid, it.gid, AT_EMPTY_PATH);
            if (error != 0) result = refuse_call("give the caller his directory in ", "/run/locald", error);
        } else if ((st.stx_uid != it.uid || (st.stx_mode & 0777) != 0700) && !locald_weak("weak-places")) {
            result = refuse("the caller's directory of states must be his alone: /run/locald/", name, "");
        }
        if (own >= 0) raw_call(SYS_close, own, 0, 0, 0, 0);
    }
    raw_call(SYS_close, run, 0, 0, 0, 0);
    return result;
}

// ---------------------------------------------------------------- become, give up

static void die(void) {
    static const char words[] = "locald-shim: root could not be given up; nothing was done\n";
    raw_call(SYS_write, 2, (long)words, sizeof words - 1, 0, 0);
    raw_call(SYS_exit_group, 125, 0, 0, 0, 0);
    __builtin_trap();
}

static void become(void) {
    if (it.is_caller) return;
    if (raw_call(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) die();
    if (raw_call(SYS_setresgid, it.gid, it.gid, it.gid, 0, 0) != 0) die();
    if (raw_call(SYS_setresuid, it.uid, it.uid, it.uid, 0, 0) != 0) die();
    raw_call(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);  // a change of ids undoes it
    if (set_capabilities(it.kept) != 0) die();
    if (locald_weak("weak-dumpable")) raw_call(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
    it.is_caller = 1;
}

static void give_up(void) {
    if (locald_weak("weak-capabilities")) return;
    if (set_capabilities(0) != 0) die();
    raw_call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    raw_call(SYS_prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0);
    unsigned u[3] = {0}, g[3] = {0};
    struct capabilities left = {0};
    if (raw_call(SYS_getresuid, (long)&u[0], (long)&u[1], (long)&u[2], 0, 0) != 0) die();
    if (raw_call(SYS_getresgid, (long)&g[0], (long)&g[1], (long)&g[2], 0, 0) != 0) die();
    for (int i = 0; i < 3; ++i) {
        if (u[i] != it.uid || g[i] != it.gid) die();
    }
    if (get_capabilities(&left) != 0) die();
    for (int i = 0; i < 2; ++i) {
        if ((left.effective[i] | left.permitted[i] | left.inheritable[i]) != 0) die();
    }
    if (raw_call(SYS_setresuid, -1, 0, -1, 0, 0) == 0) die();
}

static void turn_to(uint32_t* turn, uint32_t value) {
    __atomic_store_n(turn, value, __ATOMIC_RELEASE);
    raw_call(SYS_futex, (long)turn, FUTEX_WAKE, 1, 0, 0);
}

// A process beside us belongs to the caller as soon as it has his ids: he may have killed it.
// @return 0; -1 when it is gone, or killed because it did not answer (its owner may have frozen it)
static int wait_for_turn(uint32_t* turn, uint32_t value, long pid) {
    const struct __kernel_timespec pause = {0, 20000000};
    int left = 250;
    for (uint32_t now; (now = __atomic_load_n(turn, __ATOMIC_ACQUIRE)) != value;) {
        if (raw_call(SYS_futex, (long)turn, FUTEX_WAIT, now, (long)&pause, 0) != -ETIMEDOUT) continue;
        const long ended = raw_call(SYS_wait4, pid, 0, WNOHANG, 0, 0);  // ECHILD where SIGCHLD is ignored
        if (ended == -EINTR || (ended == 0 && --left > 0)) continue;
        if (ended == 0 && raw_call(SYS_kill, pid, SIGKILL, 0, 0, 0) != 0) die();
        return -1;
    }
    return 0;
}

// Ends with us, also when we ended before this was said.
static void end_with_parent(void) {
    raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (raw_call(SYS_getppid, 0, 0, 0, 0, 0) != it.parent) raw_call(SYS_exit_group, 0, 0, 0, 0, 0);
}

static void stand_in_place(void* unused) {
    (void)unused;
    give_up();
    end_with_parent();  // a loss of capabilities clears it
    restore_process();
    turn_to(&it.foothold_turn, 1);
    locald_stand_by(&locald_rights.foothold);
}

static void take_foothold(void) {
    if (it.place < 0) return;
    struct clone_args args = {.flags = CLONE_VM | CLONE_FILES | CLONE_INTO_CGROUP,
                              .exit_signal = SIGCHLD,
                              .stack = (uintptr_t)foothold_stack,
                              .stack_size = sizeof foothold_stack,
                              .cgroup = (unsigned)it.place};
    const long pid = raw_beside(&args, sizeof args, stand_in_place, NULL);
    // Nobody goes on while it has more rights than the caller.
    const int stands = pid > 0 && wait_for_turn(&it.foothold_turn, 1, pid) == 0;
    if (stands) locald_rights.foothold.pid = (int)pid;
    raw_call(SYS_close, it.place, 0, 0, 0, 0);
    it.place = -1;
    // Without it the container would go where the limits are not.
    const char* const why =
        pid == -EAGAIN ? ": his containers have as many as its pids.max allows (`pids` in /etc/locald/shim.conf), or "
                         "he has as many as RLIMIT_NPROC does: end one, or let root raise the limit"
        : pid > 0      ? ": it was killed, or is frozen and did not answer"
                       : "";
    if (!stands) {
        locald_refuse("make a process in the caller's cgroup locald/user-<uid>/.start", "", why, *why == 0 ? pid : 0);
    }
}

// The namespace's first process: it opens the descriptor by which the namespace stays, with its own rights, which are
// none outside, and is there until the maps are written.
static void hold_namespace(void* unused) {
    (void)unused;
    end_with_parent();
    it.namespace_result = raw_call(SYS_openat, AT_FDCWD, (long)"/proc/self/ns/user", O_RDONLY | O_CLOEXEC, 0, 0);
    turn_to(&it.namespace_turn, 1);
    while (__atomic_load_n(&it.namespace_turn, __ATOMIC_ACQUIRE) != 2) {
        raw_call(SYS_futex, (long)&it.namespace_turn, FUTEX_WAIT, 1, 0, 0);
    }
    raw_call(SYS_exit_group, 0, 0, 0, 0, 0);
}

static int write_in_proc(long pid, const char* file, const char* content, const struct locald_text* end) {
    char path[64];
    struct locald_text text = {path, path + sizeof path};
    locald_add_number(&text, (uint64_t)pid);
    locald_add(&text, "/");
    locald_add(&text, file);
    const int proc = locald_open_directory(AT_FDCWD, "/proc", 0);
    struct statfs fs = {0};
    long result = -ENODEV;
    if (proc >= 0 && raw_call(SYS_fstatfs, proc, (long)&fs, 0, 0, 0) == 0 && fs.f_type == PROC_SUPER_MAGIC) {
        const int fd = locald_open(proc, path, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
        result = fd;
        if (fd >= 0) {
            result = raw_call(SYS_write, fd, (long)content, end->at - content, 0, 0);  // a map is taken whole or not
            raw_call(SYS_close, fd, 0, 0, 0, 0);
        }
    }
    if (proc >= 0) raw_call(SYS_close, proc, 0, 0, 0, 0);
    return result < 0 ? refuse_call("write ", file, result) : 0;
}

static int write_map(long pid, const char* file, unsigned own, const struct locald_ranges* ranges, char map[1024]) {
    struct locald_text text = {map, map + 1024};
    const uint32_t own_inside = it.keeps_ids ? own : 0;
    locald_add_map_line(&text, own_inside, own, 1);
    uint32_t next = own_inside == 0 ? 1 : 0;
    for (unsigned i = 0; locald_rights.full_map && i < ranges->count; ++i) {
        uint32_t first = ranges->range[i].first;
        for (uint32_t left = ranges->range[i].count; left > 0;) {  // in two pieces around his own id
            if (next == own_inside) ++next;
            const uint32_t size = next < own_inside && left > own_inside - next ? own_inside - next : left;
            locald_add_map_line(&text, next, first, size);
            next += size;
            first += size;
            left -= size;
        }
    }
    return write_in_proc(pid, file, map, &text);
}

static int make_namespace(void) {
    struct clone_args args = {.flags = CLONE_VM | CLONE_FILES | CLONE_NEWUSER,
                              .exit_signal = SIGCHLD,
                              .stack = (uintptr_t)namespace_stack,
                              .stack_size = sizeof namespace_stack};
    const long pid = raw_beside(&args, sizeof args, hold_namespace, NULL);
    if (pid == -ENOSPC) {
        return refuse("make a user namespace", "",
                      ": the host allows no more of them; root can raise user.max_user_namespaces");
    }
    if (pid < 0) return refuse_call("make a user namespace", "", pid);
    if (wait_for_turn(&it.namespace_turn, 1, pid) != 0) {
        return refuse("make a user namespace", "", ": its first process was killed");
    }
    int result = 0;
    if (it.namespace_result < 0) result = refuse_call("open ", "/proc/self/ns/user", it.namespace_result);
    if (result == 0) result = write_map(pid, "uid_map", it.uid, &it.uids, locald_rights.uid_map);
    if (result == 0 && !locald_rights.full_map && !locald_weak("weak-setgroups")) {
        // Who may drop a group may gain by it (CVE-2014-8989). A range in /etc/subgid is root's leave to do so.
        static const char deny[] = "deny";
        const struct locald_text end = {(char*)deny + 4, (char*)deny + 4};
        result = write_in_proc(pid, "setgroups", deny, &end);
    }
    if (result == 0) result = write_map(pid, "gid_map", it.gid, &it.gids, locald_rights.gid_map);
    turn_to(&it.namespace_turn, 2);
    while (raw_call(SYS_wait4, pid, 0, 0, 0, 0) == -EINTR) {
    }
    if (result == 0) {
        locald_rights.user_namespace = (int)it.namespace_result;
    } else if (it.namespace_result >= 0) {
        raw_call(SYS_close, it.namespace_result, 0, 0, 0, 0);
    }
    return result;
}

// ---------------------------------------------------------------- the order of all this

void locald_prologue(char** argv, char** envp) {
    unsigned u[3] = {0}, g[3] = {0};
    struct capabilities have = {0};
    if (raw_call(SYS_getresuid, (long)&u[0], (long)&u[1], (long)&u[2], 0, 0) != 0) die();
    if (raw_call(SYS_getresgid, (long)&g[0], (long)&g[1], (long)&g[2], 0, 0) != 0) die();
    if (get_capabilities(&have) != 0) die();
    if (u[0] == 0 || u[1] != 0) return;
    it.uid = u[0];
    it.gid = g[0];
    it.place = -1;
    it.parent = (int)raw_call(SYS_getpid, 0, 0, 0, 0, 0);
    locald_choose_weakness(argv);
    locald_rights.mode = locald_was_setuid;
    it.kept = have.effective[0] & while_caller;
    read_verb(argv);
    settle(envp);
    if ((have.effective[0] & at_least) != at_least) {
        locald_rights.mode = locald_own_rights;  // a container's root, say: rootless, and it says why
        struct locald_text text = {locald_rights.warning, locald_rights.warning + sizeof locald_rights.warning};
        locald_add(&text, "the setuid bit gives no capabilities here (chown, dac_override, setgid, setuid, sys_admin)");
    } else if ((it.wants_birth || it.wants_namespace) && admit() == 0 && read_grants() == 0 &&
               make_state_directory() == 0) {
        if (it.wants_birth) it.place = locald_make_subtrees(it.uid, it.gid, &it.policy);
        become();
        if (locald_rights.mode != locald_refused) take_foothold();
        if (it.wants_namespace && locald_rights.mode != locald_refused) make_namespace();
    }
    become();
    give_up();
    restore(envp);
}

#ifdef LOCALD_FAKED_CALLS
// A process has one start; the fuzzer has many.
void locald_forget_start(void) {
    __builtin_memset(&it, 0, sizeof it);
    __builtin_memset(&locald_rights, 0, sizeof locald_rights);
    locald_rights.user_namespace = -1;
}
#endif

#else

void locald_prologue(char** argv, char** envp) {
    (void)argv;
    (void)envp;
}

#endif
