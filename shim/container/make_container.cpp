#include "shim/container/make_container.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/container/admission.hpp"
#include "shim/container/container.hpp"
#include "shim/process/handed_fds.hpp"
#include "shim/process/own_program.hpp"

namespace locald::shim {

namespace {

/// A descriptor that the command line names must be there, and must not reach the container's program.
void take_over(int fd, const char* option) {
    if (fd < 0) return;
    if (fd <= STDERR_FILENO) {
        throw Error(ErrorKind::invalid, std::string(option) + " " + std::to_string(fd) + ": is a standard stream");
    }
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) throw_errno(errno, option, " ", std::to_string(fd));
}

}  // namespace

int make_container(Options options, bool own_exit_codes) {
    Reporter report(-1);
    try {
        // First: it may start this program anew, with the descriptors as they were given.
        std::optional<Error> unprotected;
        try {
            run_from_unwritable_program();
        } catch (const Error& e) {
            unprotected = e;
        }
        take_over(options.report_fd, "--report-fd");
        report = Reporter(options.report_fd);
        check_admitted();
        if (unprotected) throw *unprotected;
        take_over(options.console_fd, "--console-fd");
        options.listen_fds = listen_fds();
        keep_only({options.listen_fds, options.preserve_fds});
        Container container(options, report);
        const std::optional<Ending> ending = container.run();
        if (!ending) return 0;
        report.exited(ending->exit_code(), ending->signal, ending->oom);
        return ending->exit_code();
    } catch (const Error& e) {
        const int code = own_exit_codes ? exit_code_of(e) : 1;
        tell_administrator(e);
        report.error(e, code);
        return code;
    } catch (const std::exception& e) {
        const int code = own_exit_codes ? 125 : 1;
        report.error(Error(ErrorKind::system, e.what()), code);
        return code;
    }
}

}  // namespace locald::shim
