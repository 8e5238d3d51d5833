// locald-shim: the OCI runtime. One static program; it starts the container and its hooks and nothing else.

#include <fcntl.h>
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

}  // namespace

int main(int argc, char** argv) {
    fill_standard_streams();
    if (::geteuid() != ::getuid() || ::getegid() != ::getgid()) {
        std::fputs("locald-shim: started with ids that are not the caller's: only root's setuid bit is known\n",
                   stderr);
        return 125;
    }
    if (locald_rights.warning[0] != 0) std::fprintf(stderr, "locald-shim: warning: %s\n", locald_rights.warning);
    locald::shim::remember_arguments(argv);
    return locald::shim::run_command_line({argv + (argc > 0 ? 1 : 0), argv + argc});
}
