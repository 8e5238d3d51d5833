// CVE-2016-9962: a process that joins the container could be traced by those in there while it held the host's
// descriptors.

#include <linux/capability.h>
#include <sys/syscall.h>

#include "tests/privileged/cve/cve_fixture.hpp"

namespace locald::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Cve20169962 = CveTest;

/// As root of a container with the usual rights: no CAP_SYS_PTRACE, and those that open files.
void take_containers_rights() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    data[0].permitted = data[0].effective = 1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_KILL;
    ::syscall(SYS_capset, &header, data.data());
}

TEST_F(Cve20169962, RootOfTheContainerTracesNobodyWhoIsNotItsProgramYet) {
    auto json = config(stay());
    give_capabilities(json, {"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL"});
    start(json);
    const pid_t container = container_pid();
    std::array<int, 2> tell{};
    ASSERT_EQ(::pipe2(tell.data(), O_CLOEXEC | O_NONBLOCK), 0);
    {
        const Attacker attacker([&, inside = false]() mutable {
            if (!inside) {
                ::setns(posix::pidfd_open(container).get(), CLONE_NEWPID | CLONE_NEWNS);
                if (const pid_t child = ::fork(); child != 0) {
                    ::waitpid(child, nullptr, 0);
                    ::_exit(0);
                }
                ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                take_containers_rights();
                inside = true;
            }
            for (int i = 2; i < 600; ++i) {
                if (i == ::getpid() || ::kill(i, 0) != 0) continue;
                const std::string place = "/proc/" + std::to_string(i);
                std::array<char, 64> text{};
                // What may be looked at is the image's program, or there is a way in.
                const ssize_t n = ::readlink((place + "/exe").c_str(), text.data(), text.size() - 1);
                const bool program = n > 0 && std::string(text.data()) == "/bin/busybox";
                // Asks for the same right as PTRACE_ATTACH and stops nobody.
                const posix::UniqueFd memory(program ? -1 : ::open((place + "/mem").c_str(), O_RDWR | O_CLOEXEC));
                // It may have become the image's program in between.
                const bool too_late = memory && ::readlink((place + "/exe").c_str(), text.data(), 63) > 0 &&
                                      std::string(text.data()) == "/bin/busybox";
                const bool bad = (memory && !too_late) || (n > 0 && !program);
                static_cast<void>(::write(tell[1], bad ? "!" : program ? "p" : ".", 1));
            }
        });
        repeat_for(2, [&] { EXPECT_EQ(exec({}, {"true"}).code, 0); });
    }
    std::string answers(1U << 16U, '\0');
    const ssize_t n = ::read(tell[0], answers.data(), answers.size());
    answers.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    ::close(tell[0]);
    ::close(tell[1]);
    EXPECT_THAT(answers, HasSubstr(".")) << "the attacker never saw one that joined";
    EXPECT_THAT(answers, Not(HasSubstr("!")));
}

}  // namespace
}  // namespace locald::testing
