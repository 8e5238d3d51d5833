// CVE-2024-21626 (runc), GHSA-xr7r (youki): a descriptor of a directory of the host was still open when the working
// directory was entered, so /proc/self/fd/N led out of the container.

#include "tests/privileged/cve/cve_fixture.hpp"

namespace locald::testing {
namespace {

using Cve202421626 = CveTest;
constexpr int first = 3, last = 64;

TEST_F(Cve202421626, NoDescriptorIsAWorkingDirectoryForRun) {
    for (int fd = first; fd <= last; ++fd) {
        Json json = config("pwd; echo ran");
        json["process"]["cwd"] = "/proc/self/fd/" + std::to_string(fd);
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << fd << result.out;
        EXPECT_EQ(result.out, "");
    }
}

TEST_F(Cve202421626, NorForExecNorByALinkOfTheImage) {
    start(config(stay()));
    for (int fd = first; fd <= last; ++fd) {
        const std::string place = "/proc/self/fd/" + std::to_string(fd);
        std::filesystem::remove(rootfs("/way"));
        std::filesystem::create_symlink(place, rootfs("/way"));
        for (const std::string& cwd : {place, std::string("/way"), "/proc/1/cwd/../" + place}) {
            const auto result = exec({"--cwd", cwd}, {"sh", "-c", "pwd; echo ran"});
            EXPECT_EQ(result.code, 255) << cwd << result.out;
            EXPECT_EQ(result.out, "");
            if (fd > 20) break;  // the rest by one way is enough
        }
    }
}

TEST_F(Cve202421626, TheContainerSeesTheStandardStreamsOnly) {
    EXPECT_EQ(run_line("ls /proc/self/fd").out, "0\n1\n2\n3\n") << "3 is that of ls";
    start(config(stay()));
    EXPECT_EQ(exec({}, {"ls", "/proc/self/fd"}).out, "0\n1\n2\n3\n");
    EXPECT_EQ(exec({}, {"ls", "/proc/1/fd"}).out, "0\n1\n2\n");
}

TEST_F(Cve202421626, WhatTheCallerLeftOpenIsNotInherited) {
    write(config("ls /proc/self/fd"));
    const posix::UniqueFd host = posix::open("/", O_PATH | O_DIRECTORY);
    Program program(command(run_words()), dir_ / "inheriting", uid_, {host.get()});
    EXPECT_EQ(program.wait(), 0);
    EXPECT_EQ(program.out(), "0\n1\n2\n3\n");
}

}  // namespace
}  // namespace locald::testing
