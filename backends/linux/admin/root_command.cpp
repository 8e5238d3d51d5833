#include "backends/linux/admin/root_command.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/host/child_process.hpp"

namespace locald::backends::admin {

namespace {

host::Captured capture(const std::vector<std::string>& argv) {
    host::ChildOptions options;
    options.argv = argv;
    options.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER="};
    options.cwd = "/";
    return host::run_and_capture(std::move(options), {}, std::chrono::seconds(60));
}

}  // namespace

std::string find_root_program(const std::string& name) {
    for (const char* place : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
        if (::access((place + name).c_str(), X_OK) == 0) return place + name;
    }
    return {};
}

std::string run_root_program(const std::vector<std::string>& argv) {
    auto answer = capture(argv);
    if (answer.status.ok()) return std::move(answer.out);
    std::string shown;
    for (const auto& word : argv) shown += (shown.empty() ? "" : " ") + word;
    std::string words(trim(answer.err.empty() ? answer.out : answer.err));
    std::replace(words.begin(), words.end(), '\n', ' ');
    throw Error(ErrorKind::system, shown + " ended with " + std::to_string(answer.status.exit_code()) + ": " + words);
}

bool try_root_program(const std::vector<std::string>& argv) { return capture(argv).status.ok(); }

}  // namespace locald::backends::admin
