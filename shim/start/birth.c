// The two ends of the foothold. CLONE_INTO_CGROUP asks for the right to move processes in every cgroup on the way from
// where the maker is to where the child shall be; the way from an ordinary user's session leads over root's. The
// foothold is in the user's own subtree already, so what it makes there needs nobody's leave.
//
// It shares memory and descriptors with the asking process, so that the child has a copy of both as they are when it is
// made, and it is no child of the foothold (CLONE_PARENT). It runs beside the C library, which does not know of it:
// only system calls here, no stack protector, no errno.

#include "shim/start/birth.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/time_types.h>
#include <linux/wait.h>
#include <signal.h>
#include <stddef.h>

#include "shim/start/raw_call.h"

#ifdef LOCALD_HAS_RAW_CALLS

enum { nobody_asked, asked, answered };

static void set_turn(struct locald_foothold* foothold, uint32_t turn) {
    __atomic_store_n(&foothold->turn, turn, __ATOMIC_RELEASE);
    raw_call(SYS_futex, (long)&foothold->turn, FUTEX_WAKE, 1, 0, 0);
}

void locald_stand_by(struct locald_foothold* foothold) {
    while (__atomic_load_n(&foothold->turn, __ATOMIC_ACQUIRE) == nobody_asked) {
        raw_call(SYS_futex, (long)&foothold->turn, FUTEX_WAIT, nobody_asked, 0, 0);
    }
    raw_set_thread_pointer(foothold->thread_pointer);
    long pid = 0;
    if (foothold->user_namespace >= 0) pid = raw_call(SYS_setns, foothold->user_namespace, CLONE_NEWUSER, 0, 0, 0);
    if (pid < 0) {
        foothold->result = pid;
        set_turn(foothold, answered);
        raw_call(SYS_exit_group, 0, 0, 0, 0, 0);
    }
    pid = raw_call(SYS_clone3, (long)foothold->args, (long)foothold->args_size, 0, 0, 0);
    if (pid == 0) {
        foothold->body(foothold->argument);
        raw_call(SYS_exit_group, 125, 0, 0, 0, 0);
    }
    foothold->result = pid;
    set_turn(foothold, answered);
    raw_call(SYS_exit_group, 0, 0, 0, 0, 0);
}

long locald_ask_foothold(struct locald_foothold* foothold) {
    foothold->thread_pointer = raw_thread_pointer();
    set_turn(foothold, asked);
    long result = -ESRCH;
    int left = 100;
    for (;;) {
        if (__atomic_load_n(&foothold->turn, __ATOMIC_ACQUIRE) == answered) {
            result = foothold->result;
            break;
        }
        // It belongs to the caller, who may have killed it: then it answers no more.
        const struct __kernel_timespec pause = {0, 50000000};
        raw_call(SYS_futex, (long)&foothold->turn, FUTEX_WAIT, asked, (long)&pause, 0);
        if (__atomic_load_n(&foothold->turn, __ATOMIC_ACQUIRE) == answered) continue;
        const long ended = raw_call(SYS_wait4, foothold->pid, 0, WNOHANG, 0, 0);  // ECHILD where SIGCHLD is ignored
        if (ended == -EINTR || (ended == 0 && --left > 0)) continue;
        if (ended == 0)
            raw_call(SYS_kill, foothold->pid, SIGKILL, 0, 0, 0);  // not waited for: what froze it may hold it
        foothold->pid = 0;
        if (__atomic_load_n(&foothold->turn, __ATOMIC_ACQUIRE) != answered) return ended == 0 ? -ETIMEDOUT : -ESRCH;
    }
    while (foothold->pid > 0 && raw_call(SYS_wait4, foothold->pid, 0, 0, 0, 0) == -EINTR) {
    }
    foothold->pid = 0;
    return result;
}

void locald_dismiss_foothold(struct locald_foothold* foothold) {
    if (foothold->pid <= 0) return;
    raw_call(SYS_kill, foothold->pid, SIGKILL, 0, 0, 0);
    while (raw_call(SYS_wait4, foothold->pid, 0, 0, 0, 0) == -EINTR) {
    }
    foothold->pid = 0;
}

#else

void locald_dismiss_foothold(struct locald_foothold* foothold) { (void)foothold; }
void locald_stand_by(struct locald_foothold* foothold) { (void)foothold; }
long locald_ask_foothold(struct locald_foothold* foothold) {
    (void)foothold;
    return -ESRCH;
}

#endif
