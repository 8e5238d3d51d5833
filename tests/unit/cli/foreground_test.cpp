#include "cli/foreground.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

#include "core/base/error.hpp"
#include "core/host/child_process.hpp"

namespace locald::cli {
namespace {

using namespace std::chrono_literals;

/// A process of this host that stands in for a container.
class FakeContainer final : public runtime::ContainerHandle {
public:
    FakeContainer(const std::vector<std::string>& command, const runtime::Stdio& stdio) {
        host::ChildOptions options;
        options.argv = command;
        options.env = {"PATH=/usr/bin:/bin"};
        options.new_process_group = true;
        host::PtyPair pty;
        if (stdio.mode == runtime::Stdio::Mode::pty) {
            pty = host::open_pty(stdio.size);
            master_ = pty.master;
            options.handles = {{pty.slave, 0}, {pty.slave, 1}, {pty.slave, 2}};
        } else {
            if (stdio.in >= 0) options.handles.push_back({stdio.in, 0});
            options.handles.push_back({stdio.out, 1});
            options.handles.push_back({stdio.err, 2});
        }
        child_ = host::Child::start(options);
        if (pty.slave >= 0) ::close(pty.slave);
    }
    ~FakeContainer() override {
        if (master_ >= 0) ::close(master_);
    }
    const std::string& id() const noexcept override { return id_; }
    int pid() const noexcept override { return child_.pid(); }
    int stdin_handle() const noexcept override { return master_; }
    int stdout_handle() const noexcept override { return master_; }
    int stderr_handle() const noexcept override { return master_; }
    void close_stdin() override {}
    void resize(host::TerminalSize size) override { host::set_terminal_size(master_, size); }
    bool drops(int) override { return false; }
    void signal(int number) override { child_.signal(number); }
    host::ExitStatus stop(std::chrono::milliseconds) override { return child_.wait(); }
    host::ExitStatus wait() override { return child_.wait(); }
    std::optional<host::ExitStatus> wait_for(std::chrono::milliseconds timeout) override {
        return child_.wait_for(timeout);
    }
    const std::vector<std::string>& warnings() const noexcept override { return warnings_; }

private:
    std::string id_ = "fake";
    int master_ = -1;
    host::Child child_;
    std::vector<std::string> warnings_;
};

class FakeRuntime final : public runtime::ContainerRuntime {
public:
    /// Runs instead of the long preparation of a container.
    std::function<void(const CancelToken&)> prepare;

    std::unique_ptr<runtime::ContainerHandle> run_container(const bundle::Source&, const bundle::RunOptions& options,
                                                            const runtime::Stdio& stdio, const ProgressSink&,
                                                            const CancelToken& cancel) override {
        if (prepare) prepare(cancel);
        return std::make_unique<FakeContainer>(options.command, stdio);
    }
    runtime::ProbeReport probe() override { return {}; }
    runtime::Images& images() override { throw Error(ErrorKind::unsupported, "images"); }
    bundle::ContainerBundle prepare_bundle(const bundle::Source&, const bundle::RunOptions&, const std::string&,
                                           const ProgressSink&, const CancelToken&) override {
        return {};
    }
    bundle::ContainerBundle inspect_bundle(const std::string&) override { return {}; }
    std::vector<oci::State> list() override { return {}; }
    oci::State state(const std::string&) override { return {}; }
    void kill(const std::string&, int) override {}
    void remove(const std::string&, bool) override {}
};

/// A process of its own with a terminal of its own that runs `body`; this side of the terminal is the user.
class OnATerminal {
public:
    explicit OnATerminal(const std::function<int()>& body) : pty_(host::open_pty({30, 100})) {
        EXPECT_EQ(::tcgetattr(pty_.slave, &before_), 0);
        pid_ = ::fork();
        if (pid_ != 0) return;
        ::setsid();
        ::ioctl(pty_.slave, TIOCSCTTY, 0);
        for (const int fd : {0, 1, 2}) ::dup2(pty_.slave, fd);
        int code = 125;
        try {
            code = body();
        } catch (const std::exception& e) {
            const std::string line = std::string("failed: ") + e.what() + "\n";
            if (::write(2, line.data(), line.size()) < 0) code = 124;
        }
        ::_exit(code);
    }
    ~OnATerminal() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        ::close(pty_.master);
        ::close(pty_.slave);
    }
    OnATerminal(const OnATerminal&) = delete;
    OnATerminal& operator=(const OnATerminal&) = delete;

    void type(std::string_view text) const {
        EXPECT_EQ(::write(pty_.master, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    void resize(host::TerminalSize size) const { host::set_terminal_size(pty_.master, size); }
    void signal(int number) const { ::kill(pid_, number); }
    /// Reads until `text` was shown.
    bool shows(std::string_view text) {
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (screen_.find(text) == std::string::npos) {
            pollfd entry{pty_.master, POLLIN, 0};
            if (std::chrono::steady_clock::now() > end) return false;
            if (::poll(&entry, 1, 100) <= 0) continue;
            std::array<char, 1024> bytes{};
            const auto got = ::read(pty_.master, bytes.data(), bytes.size());
            if (got > 0) screen_.append(bytes.data(), static_cast<std::size_t>(got));
        }
        screen_.erase(0, screen_.find(text) + text.size());
        return true;
    }
    int wait() {
        int status = 0;
        EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
        pid_ = -1;
        return host::ExitStatus{WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0}
            .exit_code();
    }
    bool is_as_before() const {
        termios now{};
        EXPECT_EQ(::tcgetattr(pty_.slave, &now), 0);
        return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag;
    }

private:
    host::PtyPair pty_;
    termios before_{};
    pid_t pid_ = -1;
    std::string screen_;
};

int run(const std::string& script, const Foreground& how, std::function<void(const CancelToken&)> prepare = {}) {
    FakeRuntime runtime;
    runtime.prepare = std::move(prepare);
    bundle::RunOptions options;
    // Not dash: it drops a signal that comes while it starts a program (its onsig returns at once when `vforked` is
    // set).
    options.command = {"/bin/bash", "-c", script};
    return run_in_foreground(runtime, {}, options, how);
}

constexpr Foreground interactive_tty{true, true, false};
constexpr Foreground plain{};

TEST(Foreground, GivesTheExitCode) {
    EXPECT_EQ(run("exit 7", plain), 7);
    EXPECT_EQ(run("kill -9 $$", plain), 137);
}

TEST(Foreground, HasNoInputUnlessAsked) {
    OnATerminal terminal([] { return run("test /dev/fd/0 -ef /dev/null", plain); });
    EXPECT_EQ(terminal.wait(), 0);
}

TEST(Foreground, CopiesTheTerminalBothWays) {
    OnATerminal terminal([] { return run("stty -echo; echo ready; read x; echo got $x; exit 3", interactive_tty); });
    ASSERT_TRUE(terminal.shows("ready"));
    terminal.type("hello\r");
    EXPECT_TRUE(terminal.shows("got hello\r\n"));
    EXPECT_EQ(terminal.wait(), 3);
    EXPECT_TRUE(terminal.is_as_before());
}

TEST(Foreground, LosesNothingOfWhatWasWrittenLast) {
    OnATerminal terminal(
        [] { return run("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done", interactive_tty); });
    EXPECT_TRUE(terminal.shows("line 3000\r\n"));
    EXPECT_EQ(terminal.wait(), 0);
}

TEST(Foreground, GivesKeysAsTheyAreTyped) {
    OnATerminal terminal([] {
        return run("trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.05; done", interactive_tty);
    });
    ASSERT_TRUE(terminal.shows("ready"));
    EXPECT_FALSE(terminal.is_as_before());
    // The fake has no session of its own, so Ctrl-C arrives as the byte and is no signal there; end it by one.
    terminal.signal(SIGINT);
    EXPECT_TRUE(terminal.shows("interrupted"));
    EXPECT_EQ(terminal.wait(), 5);
    EXPECT_TRUE(terminal.is_as_before());
}

TEST(Foreground, FollowsTheSizeOfTheTerminal) {
    OnATerminal terminal([] {
        return run("stty size; echo ready; while [ \"$(stty size)\" = '30 100' ]; do sleep 0.02; done; stty size",
                   interactive_tty);
    });
    EXPECT_TRUE(terminal.shows("30 100"));
    ASSERT_TRUE(terminal.shows("ready"));
    terminal.resize({44, 111});
    EXPECT_TRUE(terminal.shows("44 111"));
    EXPECT_EQ(terminal.wait(), 0);
}

TEST(Foreground, PutsTheTerminalBackAfterAKill) {
    OnATerminal terminal([] { return run("echo ready; kill -9 $$", interactive_tty); });
    EXPECT_TRUE(terminal.shows("ready"));
    EXPECT_EQ(terminal.wait(), 137);
    EXPECT_TRUE(terminal.is_as_before());
}

TEST(Foreground, PutsTheTerminalBackAfterACrashOfOurOwn) {
    OnATerminal terminal([] {
        std::thread([] {
            std::this_thread::sleep_for(300ms);
            ::raise(SIGABRT);
        }).detach();
        return run("echo ready; sleep 30", interactive_tty);
    });
    EXPECT_TRUE(terminal.shows("ready"));
    EXPECT_EQ(terminal.wait(), 128 + SIGABRT);
    EXPECT_TRUE(terminal.is_as_before());
}

TEST(Foreground, HandsSignalsOn) {
    for (const int number : {SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGRTMIN}) {
        OnATerminal terminal([] {
            return run(
                "for s in TERM HUP QUIT USR1 USR2 34; do trap \"echo caught; exit 9\" $s; done; echo ready; "
                "while :; do sleep 0.05; done",
                plain);
        });
        ASSERT_TRUE(terminal.shows("ready"));
        terminal.signal(number);
        EXPECT_TRUE(terminal.shows("caught")) << number;
        EXPECT_EQ(terminal.wait(), 9) << number;
    }
}

TEST(Foreground, KillsAContainerThatIgnoresThreeInterrupts) {
    OnATerminal terminal([] { return run("trap '' INT; echo ready; while :; do sleep 0.05; done", plain); });
    ASSERT_TRUE(terminal.shows("ready"));
    for (int i = 0; i < 3; ++i) {
        terminal.signal(SIGINT);
        std::this_thread::sleep_for(50ms);
    }
    EXPECT_EQ(terminal.wait(), 137);
}

TEST(Foreground, RefusesATerminalForInputThatIsNone) {
    const int pid = ::fork();
    if (pid == 0) {
        const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::dup2(null, 0);
        try {
            run("true", interactive_tty);
            ::_exit(1);
        } catch (const Error& e) {
            ::_exit(e.message() == "the input device is not a TTY" ? 0 : 2);
        }
    }
    int status = -1;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

/// A long call that ends when it is asked to.
void wait_for_cancel(const CancelToken& cancel) {
    if (::write(1, "preparing", 9) != 9) return;
    for (;;) {
        cancel.check();
        std::this_thread::sleep_for(5ms);
    }
}

TEST(Foreground, IsCancelledByASignalBeforeItRuns) {
    OnATerminal terminal([] { return run("true", interactive_tty, wait_for_cancel); });
    ASSERT_TRUE(terminal.shows("preparing"));
    terminal.type("\003");  // not raw yet: the terminal makes a signal of it
    EXPECT_EQ(terminal.wait(), 130);
    EXPECT_TRUE(terminal.is_as_before());
}

TEST(Foreground, EndsAtTheSecondSignalWhenTheFirstDoesNothing) {
    OnATerminal terminal([] {
        return run("true", plain, [](const CancelToken&) {
            if (::write(1, "preparing", 9) == 9) std::this_thread::sleep_for(60s);
        });
    });
    ASSERT_TRUE(terminal.shows("preparing"));
    terminal.signal(SIGTERM);
    std::this_thread::sleep_for(100ms);
    terminal.signal(SIGTERM);
    EXPECT_EQ(terminal.wait(), 143);
}

TEST(Foreground, HandsOnWhatCameWhileTheContainerWasStarting) {
    OnATerminal terminal([] {
        return run("trap 'exit 6' USR1; i=0; while [ $i -lt 60 ]; do i=$((i+1)); sleep 0.05; done", plain,
                   [](const CancelToken&) { ::raise(SIGUSR1); });
    });
    // The shell may not have set its trap yet when the signal comes: then it dies of it.
    const int code = terminal.wait();
    EXPECT_TRUE(code == 6 || code == 128 + SIGUSR1) << code;
}

}  // namespace
}  // namespace locald::cli
