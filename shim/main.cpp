// locald-shim: the OCI runtime. One static program; it starts the container and its hooks and nothing else.

#include <fcntl.h>
#include <syslog.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "core/base/error.hpp"
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

/// Said by the caller's rights: a refusal to him and, for the administrator, to the system's log.
int refuse(const std::string& words) {
    std::fprintf(stderr, "locald-shim: %s\n", words.c_str());
    ::openlog("locald-shim", LOG_PID, LOG_AUTHPRIV);
    ::syslog(LOG_WARNING, "refused uid %u: %s", static_cast<unsigned>(::getuid()), words.c_str());
    return 125;
}

}  // namespace

int main(int argc, char** argv) {
    fill_standard_streams();
    if (locald_rights.mode == locald_refused) {
        const std::string why =
            locald_rights.error != 0 ? ": " + locald::errno_text(locald_rights.error) : std::string();
        return refuse(locald_rights.words + why);
    }
    if (::geteuid() != ::getuid() || ::getegid() != ::getgid()) {
        return refuse("started with ids that are not the caller's: the only such start is by root's setuid bit");
    }
    if (locald_rights.warning[0] != 0) std::fprintf(stderr, "locald-shim: warning: %s\n", locald_rights.warning);
    locald::shim::remember_arguments(argv);
    return locald::shim::run_command_line({argv + (argc > 0 ? 1 : 0), argv + argc});
}
