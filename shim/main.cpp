// locald-shim: the OCI runtime. One static program; it starts the container and its hooks and nothing else.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <exception>

#include "core/base/error.hpp"
#include "core/base/version.hpp"
#include "shim/options.hpp"
#include "shim/verbs.hpp"

namespace locald::shim {

void print(const std::string& text) {
    std::string_view rest = text;
    while (!rest.empty()) {
        const ssize_t n = ::write(STDOUT_FILENO, rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "write to standard output");
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
}

namespace {

void complain(std::string_view text) {
    const std::string line = "locald-shim: " + std::string(text) + "\n";
    static_cast<void>(::write(STDERR_FILENO, line.data(), line.size()) >= 0);
}

/// With 0, 1 or 2 closed the next file opened would become a standard stream of the container.
void fill_standard_streams() {
    for (int fd = 0; fd <= 2; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        static_cast<void>(::open("/dev/null", O_RDWR));
    }
}

int dispatch(const Options& options) {
    switch (options.verb) {
        case Verb::run:
            return run_bundle(options);
        case Verb::state:
            return show_state(options);
        case Verb::list:
            return list_containers(options);
        case Verb::kill:
            return kill_container(options);
        case Verb::remove:
            return delete_container(options);
        case Verb::features:
            return show_features();
        case Verb::init:
            return run_init(options.command);
        case Verb::help:
            print(help_text(options.help_topic));
            return 0;
        case Verb::version:
            print("locald-shim version " + std::string(version) + "\ncommit: " + std::string(commit) +
                  "\nspec: 1.3.0\n");
            return 0;
        case Verb::shim_version:
            print(std::string(version) + "\n");
            return 0;
    }
    return 1;
}

}  // namespace

}  // namespace locald::shim

int main(int argc, char** argv) {
    using namespace locald::shim;
    fill_standard_streams();
    try {
        const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
        return dispatch(parse_options(arguments));
    } catch (const UsageError& e) {
        complain(std::string(e.what()) + "; `locald-shim --help` shows the usage");
        return e.exit_code();
    } catch (const std::exception& e) {
        complain(e.what());
        return 1;
    }
}
