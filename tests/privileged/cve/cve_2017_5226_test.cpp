// CVE-2017-5226 (bubblewrap): a container that has its caller's terminal pushes characters into its input (TIOCSTI), as
// if the caller had typed them. The kernel lets only a process do that whose controlling terminal it is.

#include <pty.h>
#include <sys/ioctl.h>

#include "tests/privileged/cve/cve_fixture.hpp"

namespace locald::testing {
namespace {

using ::testing::HasSubstr;

class Cve20175226 : public CveTest {
protected:
    /// Runs the shim with `words` in a session whose controlling terminal is that of its standard streams.
    std::string say_on_terminal(const std::vector<std::string>& words) const {
        int master = -1;
        const pid_t pid = ::forkpty(&master, nullptr, nullptr, nullptr);
        if (pid == 0) {
            std::vector<std::string> all = command(words);
            std::vector<char*> argv;
            for (auto& word : all) argv.push_back(word.data());
            argv.push_back(nullptr);
            ::execv(argv[0], argv.data());
            ::_exit(99);
        }
        std::string text;
        std::array<char, 512> block{};
        for (ssize_t n = 0; (n = ::read(master, block.data(), block.size())) > 0;) {
            text.append(block.data(), static_cast<std::size_t>(n));
        }
        ::waitpid(pid, nullptr, 0);
        ::close(master);
        return text;
    }
    // Field 7 of stat is the controlling terminal's number; opening /dev/tty asks the same of the kernel.
    static constexpr const char* question =
        "[ -t 0 ] && echo has a terminal; (: </dev/tty) 2>/dev/null && echo controls; "
        ": </proc/self/fd/0; (: </dev/tty) 2>/dev/null && echo took; set -- $(cat /proc/$$/stat); echo tty=$7";
};

TEST_F(Cve20175226, TheCallersTerminalControlsNoProcessOfTheContainer) {
    write(config(question));
    const std::string text = say_on_terminal(run_words());
    EXPECT_THAT(text, HasSubstr("has a terminal"));
    EXPECT_THAT(text, HasSubstr("tty=0"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("controls")));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("took")));
}

TEST_F(Cve20175226, NorOneThatJoins) {
    start(config(stay()));
    const std::string text = say_on_terminal({"exec", id_, "sh", "-c", question});
    EXPECT_THAT(text, HasSubstr("has a terminal"));
    EXPECT_THAT(text, HasSubstr("tty=0"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("controls")));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("took")));
}

}  // namespace
}  // namespace locald::testing
