// locald-shim: the OCI runtime. One static program; it starts the container and its hooks and nothing else.

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>

#include "shim/process/own_program.hpp"
#include "shim/start/rights.h"
#include "shim/verbs/verbs.hpp"

namespace {

/// With 0, 1 or 2 closed the next file opened would become a standard stream of the container.
void fill_standard_streams() {
    for (int fd = 0; fd <= 2; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        static_cast<void>(::open("/dev/null", O_RDWR));
    }
}

/// Root's file with the setuid bit, and yet only the caller's rights: it works as it does without the bit, and says
/// why.
void say_why_not_setuid() {
    struct stat st {};
    if (locald_rights.mode != locald_own_rights || locald_rights.warning[0] != 0 || ::getuid() == 0) return;
    if (::stat("/proc/self/exe", &st) != 0 || st.st_uid != 0 || (st.st_mode & S_ISUID) == 0) return;
    struct statvfs fs {};
    const char* why = "a tracer, or a user namespace that does not know root, took it away";
    if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
        why = "no_new_privs is set for this process";
    } else if (::statvfs("/proc/self/exe", &fs) == 0 && (fs.f_flag & ST_NOSUID) != 0) {
        why = "its file system is mounted nosuid";
    }
    std::fprintf(stderr, "locald-shim: warning: the setuid bit has no effect, so this runs with your own rights: %s\n",
                 why);
}

}  // namespace

int main(int argc, char** argv) {
    fill_standard_streams();
    if (::geteuid() != ::getuid() || ::getegid() != ::getgid()) {
        std::fputs("locald-shim: started with ids that are not the caller's: only root's setuid bit is known\n",
                   stderr);
        return 125;
    }
    if (locald_rights.warning[0] != 0) std::fprintf(stderr, "locald-shim: warning: %s\n", locald_rights.warning);
    say_why_not_setuid();
    locald::shim::remember_arguments(argv);
    return locald::shim::run_command_line({argv + (argc > 0 ? 1 : 0), argv + argc});
}
