#include "core/host/terminal.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>

#include "core/base/error.hpp"
#include "core/host/child_process.hpp"

namespace locald::host {
namespace {

class Pty : public ::testing::Test {
protected:
    ~Pty() override {
        ::close(pty.master);
        ::close(pty.slave);
    }
    bool echoes() const {
        termios now{};
        EXPECT_EQ(::tcgetattr(pty.slave, &now), 0);
        return (now.c_lflag & ECHO) != 0;
    }
    PtyPair pty = open_pty({40, 120});
};

TEST_F(Pty, HasTheAskedSize) {
    EXPECT_EQ(terminal_size(pty.slave), (TerminalSize{40, 120}));
    set_terminal_size(pty.master, {50, 132});
    EXPECT_EQ(terminal_size(pty.slave), (TerminalSize{50, 132}));
}

TEST_F(Pty, CrossesNoExec) {
    EXPECT_NE(::fcntl(pty.master, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(pty.slave, F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(Pty, IsATerminalForTheChild) {
    const auto slave = pty.slave;
    Child child = Child::start({.argv = {"/bin/sh", "-c", "test -t 0 && stty size"},
                                .env = {"PATH=/bin:/usr/bin"},
                                .handles = {{slave, 0}, {slave, 1}, {slave, 2}}});
    EXPECT_TRUE(child.wait().ok());
    char text[64] = {};
    EXPECT_GT(::read(pty.master, text, sizeof text - 1), 0);
    EXPECT_STREQ(text, "40 120\r\n");
}

TEST_F(Pty, IsRawUntilTheGuardGoes) {
    ASSERT_TRUE(echoes());
    {
        const RawMode raw(pty.slave);
        EXPECT_FALSE(echoes());
    }
    EXPECT_TRUE(echoes());
}

RawMode* active = nullptr;

TEST_F(Pty, IsPutBackFromASignalHandler) {
    RawMode raw(pty.slave);
    active = &raw;
    ::signal(SIGUSR1, [](int) { active->restore(); });
    ::raise(SIGUSR1);
    ::signal(SIGUSR1, SIG_DFL);
    EXPECT_TRUE(echoes());
    raw.restore();  // once is enough
    EXPECT_TRUE(echoes());
}

TEST(RawMode, LeavesWhatIsNoTerminalAlone) {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    EXPECT_FALSE(is_terminal(null));
    EXPECT_FALSE(is_terminal(-1));
    RawMode raw(null);
    raw.restore();
    EXPECT_EQ(terminal_size(null), (TerminalSize{24, 80}));
    EXPECT_THROW(set_terminal_size(null, {1, 1}), Error);
    ::close(null);
}

}  // namespace
}  // namespace locald::host
