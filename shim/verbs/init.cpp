// The first process of a container that was asked for with --init: it hands every signal on, collects the orphans that
// the kernel gives to process 1, and ends as its one child ended.

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

[[noreturn]] void execute_command(const std::vector<std::string>& command, const sigset_t& before) {
    std::vector<char*> words;
    words.reserve(command.size() + 1);
    for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    // A group of its own in the foreground, so that the terminal's own signals reach it and not us as well.
    ::setpgid(0, 0);
    static_cast<void>(::tcsetpgrp(STDIN_FILENO, ::getpid()));
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    ::execvp(words[0], words.data());
    const int err = errno;
    const std::string line = "init: exec " + command[0] + ": " + errno_text(err) + "\n";
    static_cast<void>(::write(STDERR_FILENO, line.data(), line.size()) >= 0);
    ::_exit(err == ENOENT ? 127 : 126);
}

/// Reaps all that ended. @return true when `child` was among them, its status in `status`
bool reap_all(pid_t child, int& status) {
    bool ended = false;
    for (int one = 0;;) {
        const pid_t pid = ::waitpid(-1, &one, WNOHANG);
        if (pid <= 0) return ended;
        if (pid == child) {
            ended = true;
            status = one;
        }
    }
}

int run_init(const Globals&, Walker& walker) {
    walker.stop_at_argument();
    for (std::string name; walker.next_option(name);) walker.unknown();
    const auto& command = walker.arguments();
    if (command.empty()) walker.refuse("init: a command is missing");
    ::signal(SIGCHLD, SIG_DFL);
    if (::getpid() != 1) ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) ::sigdelset(&all, fault);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t child = ::fork();
    if (child < 0) throw_errno(errno, "init: fork");
    if (child == 0) execute_command(command, before);
    int status = 0;
    for (;;) {
        siginfo_t info{};
        const int number = ::sigwaitinfo(&all, &info);
        if (number == SIGCHLD) {
            if (reap_all(child, status)) break;
        } else if (number > 0 && number != SIGTTIN && number != SIGTTOU) {
            ::kill(child, number);
        }
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

const Verb init_verb{
    "init",
    "  init -- COMMAND [ARGUMENT...]      run COMMAND, forward signals to it and reap orphans (first process inside)\n",
    "Usage: locald-shim init -- COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs COMMAND as a child, forwards every signal to it, reaps orphans and ends with its exit status.\n",
    run_init};

}  // namespace locald::shim
