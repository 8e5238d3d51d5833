// The second thread makes file systems while the first one attaches them. As in namespaces/network_thread.c it makes
// system calls and nothing else: the C library does not know it.

#include "shim/mounts/mount_thread.h"

#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/start/raw_call.h"

#ifdef LOCALD_HAS_RAW_CALLS

enum {
    stack_size = 16384,
    mode_bits = 07777,
    octal_digits = 4,
    window_size = 64  // two of them bound the descriptors that are open at a time
};
static char stack[stack_size] __attribute__((aligned(16)));

static void wake(void* word) { raw_call(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0, 0); }
static void sleep_on(void* word, unsigned value) {
    raw_call(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, (long)value, 0, 0);
}

/// The mode of what is there below `root`; -1 when there is nothing.
static int mode_of(int root, const char* path) {
    const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    const long fd = raw_call(SYS_openat2, root, (long)path, (long)&how, sizeof how, 0);
    if (fd < 0) return -1;
    struct statx st;
    const long result = raw_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_MODE, (long)&st);
    raw_call(SYS_close, fd, 0, 0, 0, 0);
    return result < 0 ? -1 : st.stx_mode & mode_bits;
}

static long configure(long context, struct mount_request* request) {
    long result = 0;
    if (request->source != NULL) {
        result = raw_call(SYS_fsconfig, context, FSCONFIG_SET_STRING, (long)"source", (long)request->source, 0);
    }
    for (unsigned i = 0; i < request->option_count && result >= 0; ++i) {
        const struct mount_option* option = &request->options[i];
        const long command = option->value == NULL ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
        result = raw_call(SYS_fsconfig, context, command, (long)option->key, (long)option->value, 0);
    }
    if (result >= 0 && request->mode >= 0) {
        char text[octal_digits + 1];
        for (int digit = 0; digit < octal_digits; ++digit) {
            text[digit] = (char)('0' + ((request->mode >> (3 * (octal_digits - 1 - digit))) & 7));
        }
        text[octal_digits] = 0;
        result = raw_call(SYS_fsconfig, context, FSCONFIG_SET_STRING, (long)"mode", (long)text, 0);
    }
    if (result >= 0) result = raw_call(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0);
    return result;
}

static int make(int root, struct mount_request* request) {
    request->mode = request->target == NULL ? -1 : mode_of(root, request->target);
    const long context = raw_call(SYS_fsopen, (long)request->type, FSOPEN_CLOEXEC, 0, 0, 0);
    if (context < 0) return (int)context;
    long result = configure(context, request);
    if (result >= 0) result = raw_call(SYS_fsmount, context, FSMOUNT_CLOEXEC, (long)request->attributes, 0, 0);
    raw_call(SYS_close, context, 0, 0, 0, 0);
    return (int)result;
}

static int begin(struct mount_request* request) {
    int state = mount_is_free;
    return __atomic_compare_exchange_n(&request->state, &state, mount_is_begun, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static int must_stop(const struct mount_row* row) { return __atomic_load_n(&row->stop, __ATOMIC_ACQUIRE); }

/// From the end of the window to where the other thread is.
static void make_window(struct mount_row* row, unsigned first, unsigned end) {
    while (end > first && !must_stop(row)) {
        struct mount_request* request = &row->requests[--end];
        if (!begin(request)) return;
        request->mount = make(row->root, request);
        if (__atomic_exchange_n(&request->state, mount_is_made, __ATOMIC_ACQ_REL) == mount_is_awaited) {
            wake(&request->state);
        }
    }
}

static void thread_main(void* argument) {
    const uint64_t all = ~(uint64_t)0;
    raw_call(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, (long)&all, 0, sizeof all, 0);
    struct mount_row* row = argument;
    for (unsigned window = 0; window * window_size < row->count && !must_stop(row); ++window) {
        unsigned there = 0;
        while ((there = __atomic_load_n(&row->window, __ATOMIC_ACQUIRE)) + 1 < window && !must_stop(row)) {
            sleep_on(&row->window, there);
        }
        const unsigned first = window * window_size;
        make_window(row, first, row->count - first < window_size ? row->count : first + window_size);
    }
    for (;;) raw_call(SYS_exit, 0, 0, 0, 0, 0);
}

static void enter_window(struct mount_row* row, unsigned window) {
    __atomic_store_n(&row->window, window, __ATOMIC_RELEASE);
    wake(&row->window);
}

int start_mount_thread(struct mount_row* row) {
    row->tid = 1;
    const unsigned long flags =
        CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
    return raw_thread(flags, stack + stack_size, &row->tid, thread_main, row) > 0;
}

void end_mount_thread(struct mount_row* row) {
    __atomic_store_n(&row->stop, 1, __ATOMIC_RELEASE);
    enter_window(row, row->count);  // one that it has not seen, so that it does not fall asleep after this
    int tid = 0;
    while ((tid = __atomic_load_n(&row->tid, __ATOMIC_ACQUIRE)) != 0) {
        raw_call(SYS_futex, (long)&row->tid, FUTEX_WAIT, tid, 0, 0);  // the kernel wakes without FUTEX_PRIVATE_FLAG
    }
}

int claim_mount(struct mount_row* row, unsigned index) {
    if (index % window_size == 0 && index > 0) enter_window(row, index / window_size);
    struct mount_request* request = &row->requests[index];
    if (begin(request)) return 1;
    int state = mount_is_begun;
    __atomic_compare_exchange_n(&request->state, &state, mount_is_awaited, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(&request->state, __ATOMIC_ACQUIRE) != mount_is_made) {
        sleep_on(&request->state, mount_is_awaited);
    }
    return 0;
}

#else

int start_mount_thread(struct mount_row* row) {
    (void)row;
    return 0;
}
void end_mount_thread(struct mount_row* row) { (void)row; }
int claim_mount(struct mount_row* row, unsigned index) {
    (void)row;
    (void)index;
    return 1;
}

#endif
