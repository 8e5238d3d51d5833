// The shim as an ordinary user: the container's rights come from a user namespace that config.json asks for.

#include <sched.h>
#include <sys/prctl.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::Program;
using locald::testing::ShimTest;

/// Root runs these as a user who has no account and no rights; anybody else as himself.
class ShimRootless : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
        std::ifstream most("/proc/sys/user/max_user_namespaces");
        int count = 0;
        most >> count;
        LOCALD_REQUIRE(count > 0, "user namespaces");
        user_ = ::geteuid();
        if (user_ == 0) {
            constexpr uid_t nobody_in_particular = 54321;
            uid_ = user_ = nobody_in_particular;
            for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
                ASSERT_EQ(::lchown(entry.path().c_str(), user_, user_), 0);
            }
            ASSERT_EQ(::chown(dir_.path().c_str(), user_, user_), 0);
        }
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }

    Json user_config(const std::string& line) const {
        auto json = config(line);
        json["linux"]["namespaces"].push_back({{"type", "user"}});
        const auto map = Json::array({{{"containerID", 0}, {"hostID", user_}, {"size", 1}}});
        json["linux"]["uidMappings"] = json["linux"]["gidMappings"] = map;
        return json;
    }

    uid_t user_ = 0;
};

TEST_F(ShimRootless, RunsAsRootOfItsOwnNamespaceOnly) {
    const auto result = run(user_config("id -u; touch /made; hostname; exit 5"));
    EXPECT_EQ(result.code, 5) << result.err;
    EXPECT_EQ(result.out, "0\nbox\n");
    struct stat st {};
    ASSERT_EQ(::stat(rootfs("/made").c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, user_);
}

TEST_F(ShimRootless, IsMadeStartedEnteredAndRemovedByItsOwner) {
    write(user_config(stay()));
    Program create(command({"create", "--bundle", dir_ / "bundle", id_}), dir_ / "container", uid_);
    ASSERT_EQ(create.wait(), 0) << create.err();
    ASSERT_EQ(call({"start", id_}).code, 0);
    ASSERT_TRUE(create.wait_for_output("up"));
    const auto inside = call({"exec", "--pid-file", dir_ / "pid", id_, "sh", "-c", "id -u; hostname; exit 3"});
    EXPECT_EQ(inside.code, 3) << inside.err;
    EXPECT_EQ(inside.out, "0\nbox\n");
    EXPECT_TRUE(std::filesystem::exists(dir_ / "pid"));
    EXPECT_EQ(call({"kill", id_, "KILL"}).code, 0);
    EXPECT_EQ(call({"delete", "--force", id_}).code, 0);
}

TEST_F(ShimRootless, RunsWhatItsOwnSpecWrites) {
    ASSERT_EQ(call({"spec", "--rootless", "--bundle", dir_ / "bundle"}).code, 0);
    std::ifstream file(dir_ / "bundle/config.json");
    auto json = Json::parse(file);
    json["process"]["terminal"] = false;
    json["process"]["args"] = {"/bin/busybox", "sh", "-c",
                               "busybox id -u; busybox ls -d /sys/fs/cgroup /dev/shm; exit 7"};
    const auto result = run(json);
    EXPECT_EQ(result.code, 7) << result.err;
    EXPECT_EQ(result.out, "0\n/dev/shm\n/sys/fs/cgroup\n") << result.err;
}

TEST_F(ShimRootless, BindsTheHostsDevices) {
    const auto result = run(user_config("echo x >/dev/null && stat -c '%t:%T' /dev/null /dev/urandom"));
    EXPECT_EQ(result.out, "1:3\n1:9\n") << result.err;
}

TEST_F(ShimRootless, MountsAnOverlayRoot) {
    for (const char* name : {"upper", "work", "bundle/merged"}) {
        std::filesystem::create_directories(dir_ / name);
        ASSERT_EQ(::chown((dir_ / name).c_str(), user_, user_), 0);
    }
    auto json = user_config("touch /new; cat /etc/nothing; ls -d /bin");
    json["root"]["path"] = "merged";
    json["mounts"].insert(json["mounts"].begin(), Json{{"destination", "/"},
                                                       {"type", "overlay"},
                                                       {"source", "overlay"},
                                                       {"options",
                                                        {"lowerdir=" + rootfs(), "upperdir=" + (dir_ / "upper"),
                                                         "workdir=" + (dir_ / "work"), "userxattr", "volatile"}}});
    const auto result = run(json);
    EXPECT_EQ(result.out, "/bin\n") << result.err;
    EXPECT_TRUE(std::filesystem::exists(dir_ / "upper/new"));
}

TEST_F(ShimRootless, NeedsAUserNamespaceAndSaysSo) {
    const auto result = run(config("echo ran"));
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("user namespace"), std::string::npos) << result.err;
}

TEST_F(ShimRootless, ReadsNothingThatTheCallerMayNotRead) {
    LOCALD_REQUIRE(::geteuid() == 0, "root, to make a file of another user");
    std::ofstream(dir_ / "secret") << "secret\n";
    ASSERT_EQ(::chmod((dir_ / "secret").c_str(), 0600), 0);
    auto json = user_config("cat /secret");
    json["mounts"].push_back({{"destination", "/secret"}, {"source", dir_ / "secret"}, {"options", {"bind"}}});
    const auto result = run(json);
    EXPECT_NE(result.code, 0);
    EXPECT_EQ(result.out, "");
}

TEST_F(ShimRootless, DiesWithItsShim) {
    write(user_config(stay()));
    {
        Program program(command(run_words()), dir_ / "run", uid_);
        ASSERT_TRUE(program.wait_for_output("up")) << program.err();
        program.signal(SIGKILL);
        program.wait();
    }
    for (int i = 0; i < 200 && !processes().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(processes(), "");
    EXPECT_EQ(call({"delete", id_}).code, 0);
}

/// A child of the test that does not outlive it.
struct Ended {
    pid_t pid;
    ~Ended() {
        if (pid <= 0) return;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
};

TEST_F(ShimRootless, JoinsTheNamespacesOfAnotherContainerOfTheSameUser) {
    auto [ours, theirs] = locald::posix::make_socket_pair();
    const pid_t holder = ::fork();
    const Ended ended{holder};
    if (holder == 0) {
        const std::string map = "0 " + std::to_string(user_) + " 1";
        if (::geteuid() != user_ && (::setresgid(user_, user_, user_) != 0 || ::setresuid(user_, user_, user_) != 0))
            ::_exit(1);
        ::prctl(PR_SET_DUMPABLE, 1);  // its files in /proc are the user's again
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) ::_exit(1);
        std::ofstream("/proc/self/setgroups") << "deny";
        std::ofstream("/proc/self/uid_map") << map;
        std::ofstream("/proc/self/gid_map") << map;
        static_cast<void>(::write(theirs.get(), "x", 1) == 1);
        for (;;) ::pause();
    }
    theirs.reset();
    char byte = 0;
    ASSERT_EQ(::read(ours.get(), &byte, 1), 1);
    const std::string place = "/proc/" + std::to_string(holder) + "/ns/";
    auto json = user_config(
        "id -u; for n in user net ipc; do readlink /proc/self/ns/$n; done; touch /made; cat /data/file; cat "
        "/proc/self/timens_offsets");
    json["linux"]["namespaces"].push_back({{"type", "time"}});
    json["linux"]["timeOffsets"] = {{"boottime", {{"secs", 77}}}};
    std::filesystem::create_directories(dir_ / "volume");
    std::ofstream(dir_ / "volume/file") << "volume\n";
    json["mounts"].push_back({{"destination", "/data"}, {"source", dir_ / "volume"}, {"options", {"rbind", "ro"}}});
    for (auto& entry : json["linux"]["namespaces"]) {
        if (entry["type"] == "user" || entry["type"] == "ipc") entry["path"] = place + entry["type"].get<std::string>();
        if (entry["type"] == "network") entry["path"] = place + "net";
    }
    const auto result = run(json);
    std::string wanted = "0\n";
    for (const char* name : {"user", "net", "ipc"}) {
        wanted += std::filesystem::read_symlink(place + name).string() + "\n";
    }
    std::string out = result.out;
    std::erase(out, ' ');
    EXPECT_EQ(out, wanted + "volume\nmonotonic00\nboottime770\n") << result.err;
    struct stat st {};
    ASSERT_EQ(::stat(rootfs("/made").c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, user_);
}

TEST_F(ShimRootless, IsRefusedTheNamespacesOfOthers) {
    auto json = user_config("echo ran");
    const pid_t holder = ::fork();
    if (holder == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) ::pause();
    }
    for (auto& entry : json["linux"]["namespaces"]) {
        if (entry["type"] == "network") entry["path"] = "/proc/" + std::to_string(holder) + "/ns/net";
    }
    const auto result = run(json);
    ::kill(holder, SIGKILL);
    ::waitpid(holder, nullptr, 0);
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("network namespace"), std::string::npos) << result.err;
}

TEST_F(ShimRootless, OpensTheSourcesOfBindsWithTheCallersRightsAlone) {
    LOCALD_REQUIRE(::geteuid() == 0, "root, to make a directory of another user");
    std::filesystem::create_directories(dir_ / "others/volume");
    ASSERT_EQ(::chown((dir_ / "others").c_str(), 1234, 1234), 0);
    ASSERT_EQ(::chmod((dir_ / "others").c_str(), 0700), 0);
    auto json = user_config("echo ran");
    json["mounts"].push_back({{"destination", "/data"}, {"source", dir_ / "others/volume"}, {"options", {"bind"}}});
    auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("Permission denied"), std::string::npos) << result.err;
    json["mounts"].back() = {{"destination", "/data"}, {"source", dir_ / "state"}, {"options", {"bind", "idmap"}}};
    result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("only root can map the ids of a mount"), std::string::npos) << result.err;
}

}  // namespace
