#include "backends/linux/namespace_rights.hpp"

#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends {

int try_rights_in_user_namespace() {
    clone_args args{};
    args.flags = CLONE_NEWUSER | CLONE_NEWNS;
    args.exit_signal = SIGCHLD;
    pid_t child = -1;
    try {
        child = posix::clone3(args);
    } catch (const Error& e) {
        return e.os_errno();
    }
    if (child == 0) {
        // The child of a process with threads may do no more than system calls.
        const long failed = ::syscall(SYS_mount, nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
        ::syscall(SYS_exit_group, failed == 0 ? 0 : errno);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

}  // namespace locald::backends
