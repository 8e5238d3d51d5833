#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::posix::UniqueFd;
using locald::testing::Program;
using locald::testing::ShimTest;

/// What is set on the process itself, seen from inside.
class ShimProcess : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }
};

TEST_F(ShimProcess, HasItsUserGroupsAndUmask) {
    auto json = config("id -u; id -g; grep Groups: /proc/self/status; umask");
    json["process"]["user"] = {{"uid", 7}, {"gid", 8}, {"umask", 077}, {"additionalGids", {20, 30}}};
    EXPECT_EQ(run(json).out, "7\n8\nGroups:\t20 30 \n0077\n");
}

TEST_F(ShimProcess, KeepsTheCallersGroupsWhenAsked) {
    std::vector<gid_t> before(static_cast<std::size_t>(::getgroups(0, nullptr)));
    ASSERT_GE(::getgroups(static_cast<int>(before.size()), before.data()), 0);
    const std::vector<gid_t> ours{4711, 4712};
    ASSERT_EQ(::setgroups(ours.size(), ours.data()), 0);
    auto json = config("grep Groups: /proc/self/status");
    const auto without = run(json);
    json["annotations"] = {{"run.oci.keep_original_groups", "1"}};
    const auto with = run(json);
    ASSERT_EQ(::setgroups(before.size(), before.data()), 0);
    EXPECT_EQ(without.out, "Groups:\t \n") << without.err;
    EXPECT_EQ(with.out, "Groups:\t4711 4712 \n") << with.err;
}

TEST_F(ShimProcess, HasItsSchedulerPriorityAndPersonality) {
    auto json = config("cut -d' ' -f19,41 /proc/self/stat; busybox uname -m; busybox ionice -p 1");
    json["process"]["args"][2] = "busybox cut -d' ' -f19,41 /proc/self/stat; busybox uname -m; busybox ionice -p 1";
    json["process"]["scheduler"] = {{"policy", "SCHED_BATCH"}, {"nice", 5}};
    json["process"]["ioPriority"] = {{"class", "IOPRIO_CLASS_BE"}, {"priority", 6}};
    json["linux"]["personality"] = {{"domain", "LINUX32"}};
    const auto result = run(json);
    EXPECT_TRUE(result.out.starts_with("5 3\n")) << result.out << result.err;
    EXPECT_NE(result.out.find("i686\n"), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("best-effort: prio 6"), std::string::npos) << result.out;
}

TEST_F(ShimProcess, SendsItsHandleToTheReceiverOfTheAnnotation) {
    const std::string path = dir_ / "receiver";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    auto json = config("exit 3");
    json["annotations"] = {{"run.oci.pidfd_receiver", path}};
    EXPECT_EQ(run(json).code, 3);
    const UniqueFd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const UniqueFd handle = locald::posix::receive_fd(peer);
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(handle.get()));
    const std::string text{std::istreambuf_iterator<char>(info), {}};
    EXPECT_NE(text.find("Pid:\t-1"), std::string::npos) << "a handle on a process that has ended: " << text;
}

TEST_F(ShimProcess, RunsOnTheCpusOfExecCPUAffinity) {
    write(config(stay()));
    Program container(command(run_words()), dir_ / "run");
    ASSERT_TRUE(container.wait_for_output("up"));
    std::ofstream(dir_ / "process.json")
        << R"({"cwd":"/","args":["/bin/grep","Cpus_allowed_list","/proc/self/status"],"env":[],)"
           R"("execCPUAffinity":{"initial":"0","final":"0"}})";
    const auto result = call({"exec", "--process", dir_ / "process.json", id_});
    EXPECT_EQ(result.out, "Cpus_allowed_list:\t0\n") << result.err;
    std::ofstream(dir_ / "process.json") << R"({"cwd":"/","args":["/bin/true"],"execCPUAffinity":{"final":"8000"}})";
    const auto refused = call({"exec", "--process", dir_ / "process.json", id_});
    EXPECT_NE(refused.err.find("process.execCPUAffinity.final: run on cpus 8000: Invalid argument"), std::string::npos)
        << refused.err;
    call({"kill", id_, "KILL"});
    container.wait();
}

}  // namespace
