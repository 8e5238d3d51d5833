// CVE-2022-24769, CVE-2022-29162 (runc) and CVE-2022-27650 (crun): a set of inheritable capabilities that was not empty
// gave programs with file capabilities more than their user has.

#include <linux/capability.h>
#include <sys/syscall.h>

#include "tests/privileged/cve/cve_fixture.hpp"

namespace locald::testing {
namespace {

using Cve202224769 = CveTest;
constexpr const char* none = "CapInh:\t0000000000000000\n";

TEST_F(Cve202224769, RunHasNoInheritableCapabilities) {
    for (const unsigned uid : {0U, 1000U}) {
        Json json = config("grep CapInh /proc/self/status");
        json["process"]["user"]["uid"] = uid;
        EXPECT_EQ(run(json).out, none);
        json["process"].erase("capabilities");
        EXPECT_EQ(run(json).out, none);
    }
}

TEST_F(Cve202224769, ExecHasNoneEither) {
    start(config(stay()));
    const std::vector<std::string> words{"grep", "CapInh", "/proc/self/status"};
    EXPECT_EQ(exec({}, words).out, none);
    EXPECT_EQ(exec({"--cap", "CAP_CHOWN", "--cap", "CAP_NET_RAW"}, words).out, none);
    EXPECT_EQ(exec({"--user", "1000:1000", "--cap", "CAP_CHOWN"}, words).out, none);
    std::ofstream(dir_ / "process.json")
        << Json{{"args", words}, {"cwd", "/"}, {"env", {"PATH=/bin"}}, {"user", {{"uid", 0}, {"gid", 0}}}}.dump();
    EXPECT_EQ(exec({"--process", dir_ / "process.json"}, {}).out, none);
}

TEST_F(Cve202224769, WhatTheCallerInheritsIsNotHandedOn) {
    // The runtime itself is started with all of them inheritable.
    write(config("grep CapInh /proc/self/status"));
    const pid_t pid = ::fork();
    if (pid == 0) {
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        std::array<__user_cap_data_struct, 2> data{};
        ::syscall(SYS_capget, &header, data.data());
        for (auto& word : data) word.inheritable = word.permitted;
        if (::syscall(SYS_capset, &header, data.data()) != 0) ::_exit(99);
        Program program(command(run_words()), dir_ / "inheriting");
        ::_exit(program.wait());
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(text_of(dir_ / "inheriting.out"), none);
}

}  // namespace
}  // namespace locald::testing
