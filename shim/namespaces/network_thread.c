// A thread that the C library does not know, so that none of its locks is held by it, and setuid in a process that is
// made meanwhile does not look for it. It makes system calls and nothing else: the thread pointer is the first
// thread's, errno with it.

#include "shim/namespaces/network_thread.h"

#include <errno.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/if.h>
#include <linux/sched.h>
#include <linux/socket.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/start/raw_call.h"

#ifdef LOCALD_HAS_RAW_CALLS

enum { stack_size = 16384, sock_dgram = 2, sock_cloexec = 02000000, lowest_descriptor = 3 };
// One thread at a time: of the only container that this process makes.
static char stack[stack_size] __attribute__((aligned(16)));

static void tell(struct network_thread* shared, int state) {
    __atomic_store_n(&shared->state, state, __ATOMIC_RELEASE);
    raw_call(SYS_futex, (long)&shared->state, FUTEX_WAKE_PRIVATE, 1, 0, 0);
}

static int bring_loopback_up(void) {
    const long socket = raw_call(SYS_socket, AF_UNIX, sock_dgram | sock_cloexec, 0, 0, 0);
    if (socket < 0) return (int)-socket;
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    const long result = raw_call(SYS_ioctl, socket, SIOCSIFFLAGS, (long)&request, 0, 0);
    raw_call(SYS_close, socket, 0, 0, 0, 0);
    return (int)-result;
}

static int make_namespace(struct network_thread* shared) {
    // Of this thread alone; the rest of the process stays where it is.
    const long made = raw_call(SYS_unshare, CLONE_NEWNET, 0, 0, 0, 0);
    if (made < 0) return (int)-made;
    const long fd = raw_call(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC, 0, 0);
    if (fd < 0) return (int)-fd;
    shared->fd = (int)fd;
    if (fd < lowest_descriptor) {
        shared->fd = (int)raw_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest_descriptor, 0, 0);
        raw_call(SYS_close, fd, 0, 0, 0, 0);
    }
    return shared->fd < 0 ? -shared->fd : 0;
}

static void thread_main(void* argument) {
    // Signals of the process are for the first thread, which waits for them by a descriptor.
    const uint64_t all = ~(uint64_t)0;
    raw_call(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, (long)&all, 0, sizeof all, 0);
    struct network_thread* shared = argument;
    shared->error = make_namespace(shared);
    tell(shared, shared->error == 0 ? network_thread_has_namespace : network_thread_failed);
    if (shared->error == 0) shared->error = bring_loopback_up();
    for (;;) raw_call(SYS_exit, 0, 0, 0, 0, 0);
}

int start_network_thread(struct network_thread* shared) {
    *shared = (struct network_thread){.state = network_thread_works, .fd = -1, .tid = 1};
    // Not CLONE_FS: a process that shares that may not enter a mount namespace.
    const unsigned long flags =
        CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
    return raw_thread(flags, stack + stack_size, &shared->tid, thread_main, shared) > 0;
}

void await_network_namespace(struct network_thread* shared) {
    while (__atomic_load_n(&shared->state, __ATOMIC_ACQUIRE) == network_thread_works) {
        raw_call(SYS_futex, (long)&shared->state, FUTEX_WAIT_PRIVATE, network_thread_works, 0, 0);
    }
}

void await_network_thread(struct network_thread* shared) {
    int tid = 0;
    // The kernel wakes without FUTEX_PRIVATE_FLAG.
    while ((tid = __atomic_load_n(&shared->tid, __ATOMIC_ACQUIRE)) != 0) {
        raw_call(SYS_futex, (long)&shared->tid, FUTEX_WAIT, tid, 0, 0);
    }
}

#else

int start_network_thread(struct network_thread* shared) {
    (void)shared;
    return 0;
}
void await_network_namespace(struct network_thread* shared) { (void)shared; }
void await_network_thread(struct network_thread* shared) { (void)shared; }

#endif
