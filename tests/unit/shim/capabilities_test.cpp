#include "shim/base/capabilities.hpp"

#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "tests/support/require.hpp"

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t bit(unsigned number) { return std::uint64_t{1} << number; }

TEST(CapabilityNames, HaveTheKernelsNumbers) {
    EXPECT_EQ(capability_number("CAP_CHOWN"), CAP_CHOWN);
    EXPECT_EQ(capability_number("CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
    EXPECT_EQ(capability_number("CAP_MKNOD"), CAP_MKNOD);
    EXPECT_EQ(capability_number("CAP_CHECKPOINT_RESTORE"), CAP_CHECKPOINT_RESTORE);
    EXPECT_EQ(capability_number("CAP_NOTHING"), -1);
    EXPECT_EQ(capability_number("chown"), -1);
    EXPECT_EQ(known_capabilities().size(), static_cast<std::size_t>(CAP_LAST_CAP) + 1);
}

TEST(Capabilities, BecomeMasks) {
    oci::Capabilities config;
    config.bounding = {"CAP_KILL", "CAP_CHOWN"};
    config.permitted = {"CAP_KILL"};
    config.effective = {"CAP_KILL"};
    config.inheritable = {"CAP_KILL"};
    config.ambient = {"CAP_KILL"};
    std::vector<std::string> warnings;
    const auto sets = parse_capabilities(config, warnings, all_capabilities);
    EXPECT_EQ(sets.bounding, bit(CAP_KILL) | bit(CAP_CHOWN));
    EXPECT_EQ(sets.permitted, bit(CAP_KILL));
    EXPECT_EQ(sets.ambient, bit(CAP_KILL));
    EXPECT_THAT(warnings, IsEmpty());
}

TEST(Capabilities, ThatAreUnknownOrNotOursToGiveAreWarnedAboutOnce) {
    oci::Capabilities config;
    config.bounding = {"CAP_EMPTY", "CAP_KILL", "CAP_CHOWN"};
    config.permitted = {"CAP_EMPTY", "CAP_KILL"};
    std::vector<std::string> warnings;
    const auto sets = parse_capabilities(config, warnings, bit(CAP_CHOWN));
    EXPECT_EQ(sets.bounding, bit(CAP_CHOWN));
    EXPECT_EQ(sets.permitted, 0U);
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("unknown capability \"CAP_EMPTY\""),
                                      HasSubstr("CAP_KILL cannot be granted here")));
}

TEST(Capabilities, ThatTheKernelWouldRefuseAreLeftOutWithAWarning) {
    oci::Capabilities config;
    config.permitted = {"CAP_KILL"};
    config.effective = {"CAP_KILL", "CAP_CHOWN"};
    config.ambient = {"CAP_KILL"};
    std::vector<std::string> warnings;
    const auto sets = parse_capabilities(config, warnings, all_capabilities);
    EXPECT_EQ(sets.effective, bit(CAP_KILL));
    EXPECT_EQ(sets.ambient, 0U);
    EXPECT_EQ(warnings.size(), 2U);
}

std::string status_line(const std::string& name) {
    const std::string text = posix::read_file("/proc/self/status");
    const auto at = text.find(name + ":\t") + name.size() + 2;
    return text.substr(at, text.find('\n', at) - at);
}

TEST(Capabilities, AreWhatTheKernelShowsAfterwardsAlsoForAnotherUser) {
    LOCALD_REQUIRE(::geteuid() == 0, "root");
    const pid_t pid = ::fork();
    if (pid == 0) {
        int failed = 0;
        try {
            const CapabilitySets sets{bit(CAP_KILL), bit(CAP_KILL), bit(CAP_KILL), bit(CAP_KILL) | bit(CAP_CHOWN),
                                      bit(CAP_KILL)};
            drop_bounding(sets);
            if (::setresuid(1234, 1234, 1234) != 0) ::_exit(100);
            apply_capabilities(sets);
            failed += status_line("CapEff") != "0000000000000020";
            failed += status_line("CapPrm") != "0000000000000020";
            failed += status_line("CapInh") != "0000000000000020";
            failed += status_line("CapAmb") != "0000000000000020";
            failed += status_line("CapBnd") != "0000000000000021";
        } catch (const Error&) {
            failed = 101;
        }
        ::_exit(failed);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST(Capabilities, BeyondWhatThisProcessHasAreAnError) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        try {
            apply_capabilities({});
            apply_capabilities({bit(CAP_KILL), bit(CAP_KILL), 0, 0, 0});
        } catch (const Error& e) {
            ::_exit(e.os_errno() == EPERM && std::string(e.what()).find("CAP_KILL") != std::string::npos ? 7 : 8);
        }
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 7);
}

}  // namespace
}  // namespace locald::shim
