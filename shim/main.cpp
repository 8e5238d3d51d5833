// locald-shim: the OCI runtime. One static program; it starts the container and its hooks and nothing else.

#include <fcntl.h>
#include <unistd.h>

#include "shim/process/own_program.hpp"
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
    locald::shim::remember_arguments(argv);
    return locald::shim::run_command_line({argv + (argc > 0 ? 1 : 0), argv + argc});
}
