#include "shim/criu/criu.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

void check_host() {
    if (::geteuid() != 0) {
        throw Error(ErrorKind::unsupported, "checkpoint and restore need root: Operation not permitted", EPERM)
            .with_remedy("run as root; criu cannot look into an ordinary user's container");
    }
    if (::access("/proc/sys/kernel/ns_last_pid", F_OK) != 0) {
        throw Error(ErrorKind::unsupported,
                    "this kernel cannot restore processes: it is built without CONFIG_CHECKPOINT_RESTORE "
                    "(/proc/sys/kernel/ns_last_pid: " +
                        errno_text(errno) + ")",
                    errno)
            .with_remedy("boot a kernel that has it");
    }
}

/// Its own words, without the time in front of them.
std::string errors_in(const std::string& log) {
    constexpr std::size_t most_lines = 3;
    constexpr std::size_t most_log = 64U << 20U;
    std::string found;
    std::size_t lines = 0;
    try {
        const std::string text = posix::read_file(log, most_log);
        for (const auto line : split(text, '\n')) {
            const auto at = line.find("Error (");
            // Told at every start where the right to raise a limit is missing; nothing comes of it.
            if (at == std::string_view::npos || line.find("rlimit:") != std::string_view::npos) continue;
            const auto words = line.find("): ", at);
            found += found.empty() ? "" : "; ";
            found += trim(words == std::string_view::npos ? line.substr(at) : line.substr(words + 3));
            if (++lines == most_lines) break;
        }
    } catch (const Error&) {
        // It ended before it had a log; then what it printed is all there is.
    }
    return found;
}

[[noreturn]] void become_criu(const CriuRun& run, const UniqueFd& go) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    char byte = 0;
    while (::read(go.get(), &byte, 1) < 0 && errno == EINTR) {
    }
    run.prepare();
    std::vector<char*> argv{const_cast<char*>(run.program.c_str())};
    for (const auto& word : run.arguments) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    // Out of the way of the numbers that are given first.
    constexpr int above = 64;
    std::vector<int> copies;
    for (const auto& entry : run.descriptors) copies.push_back(::fcntl(entry.first, F_DUPFD_CLOEXEC, above));
    for (std::size_t i = 0; i < copies.size(); ++i) ::dup2(copies[i], run.descriptors[i].second);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const char* const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", nullptr};
    ::execve(run.program.c_str(), argv.data(), const_cast<char* const*>(env));
    throw_errno(errno, "execute ", run.program);
}

}  // namespace

std::string find_criu(const std::string& given) {
    check_host();
    if (!given.empty()) {
        if (given.front() != '/') {
            throw Error(ErrorKind::invalid, "--criu " + given + ": expected an absolute path");
        }
        if (::access(given.c_str(), X_OK) != 0) throw_errno(errno, "--criu ", given);
        return given;
    }
    for (const char* path : {"/usr/sbin/criu", "/usr/bin/criu", "/usr/local/sbin/criu", "/usr/local/bin/criu"}) {
        if (::access(path, X_OK) == 0) return path;
    }
    throw Error(ErrorKind::unsupported,
                "criu is not installed: there is none in /usr/sbin, /usr/bin, /usr/local/sbin, /usr/local/bin")
        .with_remedy("install the package `criu`, or name the program by `--criu FILE` before the verb");
}

std::vector<std::string> criu_arguments(const CriuOptions& options, const std::string& rootfs, const char* log) {
    std::vector<std::string> words{"-D",  options.image_path, "-W",  options.work_path, "-o", log,
                                   "-v4", "--root",           rootfs};
    const auto add = [&](bool wanted, const char* word) {
        if (wanted) words.emplace_back(word);
    };
    add(options.tcp_established, "--tcp-established");
    add(options.ext_unix_sk, "--ext-unix-sk");
    add(options.shell_job, "--shell-job");
    add(options.file_locks, "--file-locks");
    add(options.lazy_pages, "--lazy-pages");
    add(options.auto_dedup, "--auto-dedup");
    if (!options.empty_ns.empty()) words.insert(words.end(), {"--empty-ns", "net"});
    return words;
}

void run_criu(const CriuRun& run) {
    auto go = posix::make_pipe();
    const pid_t pid = ::fork();
    if (pid < 0) throw_errno(errno, "fork");
    if (pid == 0) {
        go.write.reset();
        try {
            become_criu(run, go.read);
        } catch (const std::exception& e) {
            const std::string text = "locald-shim: " + std::string(e.what()) + "\n";
            static_cast<void>(::write(STDERR_FILENO, text.data(), text.size()) >= 0);
        }
        ::_exit(127);
    }
    int status = 0;
    const auto reap = [&] {
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    };
    try {
        run.started(pid);
    } catch (...) {
        ::kill(pid, SIGKILL);
        reap();
        throw;
    }
    go.write.reset();
    reap();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    const std::string words = errors_in(run.log);
    throw Error(ErrorKind::system,
                run.program + " " + run.arguments.front() + ": " + (words.empty() ? "it failed without a word" : words))
        .with_remedy("its whole log is " + run.log);
}

}  // namespace locald::shim
