// exec: another process in a container that runs.

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace locald::testing {
namespace {

using ::testing::HasSubstr;

class ShimExec : public ShimTest {
protected:
    void SetUp() override { LOCALD_REQUIRE(::geteuid() == 0 && have_busybox(), "root and busybox"); }
    void TearDown() override {
        call({"delete", "--force", id_});
        EXPECT_EQ(leftovers_soon(), "");
    }

    void start(const Json& json) {
        write(json);
        Program run(command({"run", "--detach", "--bundle", dir_ / "bundle", id_}), dir_ / "container");
        ASSERT_EQ(run.wait(), 0) << run.err();
        ASSERT_TRUE(run.wait_for_output("up"));
    }
    Result exec(const std::vector<std::string>& options, const std::vector<std::string>& words) const {
        std::vector<std::string> all{"exec"};
        all.insert(all.end(), options.begin(), options.end());
        all.push_back(id_);
        all.insert(all.end(), words.begin(), words.end());
        return call(all);
    }
    Result sh(const std::string& line, const std::vector<std::string>& options = {}) const {
        return exec(options, {"sh", "-c", line});
    }
    Json state() const { return Json::parse(call({"state", id_}).out); }
    /// What `readlink` shows of the namespaces of a process, as seen from out here.
    static std::string namespaces_of(const std::string& pid) {
        std::string text;
        for (const char* kind : {"cgroup", "ipc", "mnt", "net", "pid", "uts", "user", "time"}) {
            text += std::filesystem::read_symlink("/proc/" + pid + "/ns/" + kind).string() + "\n";
        }
        return text;
    }
};

TEST_F(ShimExec, EndsWithTheStatusOfItsProgram) {
    start(config(stay()));
    EXPECT_EQ(sh("exit 7").code, 7);
    EXPECT_EQ(sh("kill -TERM $$").code, 128 + SIGTERM);
    EXPECT_EQ(sh("echo out; echo err >&2").out, "out\n");
    EXPECT_EQ(sh("echo out; echo err >&2").err, "err\n");
}

TEST_F(ShimExec, IsInEveryNamespaceAndTheCgroupOfTheContainer) {
    Json json = config(stay());
    json["linux"]["namespaces"].push_back({{"type", "time"}});
    start(json);
    const Result detached = exec({"--detach", "--pid-file", dir_ / "pid"}, {"sleep", "1000"});
    ASSERT_EQ(detached.code, 0) << detached.err;
    std::ifstream file(dir_ / "pid");
    std::string pid;
    file >> pid;
    EXPECT_EQ(namespaces_of(pid), namespaces_of(std::to_string(state().at("pid").get<int>())));
    std::stringstream ours, theirs;
    ours << std::ifstream("/proc/" + pid + "/cgroup").rdbuf();
    theirs << std::ifstream("/proc/" + std::to_string(state().at("pid").get<int>()) + "/cgroup").rdbuf();
    EXPECT_EQ(ours.str(), theirs.str());
    EXPECT_EQ(std::filesystem::read_symlink("/proc/" + pid + "/root"), "/");
}

TEST_F(ShimExec, HasTheContainersUserRightsAndEnvironmentUnlessAskedOtherwise) {
    Json json = config(stay());
    json["process"]["env"].push_back("A=1");
    json["process"]["user"] = {{"uid", 5}, {"gid", 6}, {"additionalGids", {7}}};
    start(json);
    EXPECT_THAT(sh("id; echo $A; pwd; grep NoNewPrivs /proc/self/status").out,
                HasSubstr("uid=5 gid=6 groups=7\n1\n/\nNoNewPrivs:\t1\n"));
    const Result other = sh("id; echo $A$B; pwd", {"-u", "0:3", "-e", "A=2", "--env=B=3", "--cwd", "/tmp", "-g", "9"});
    EXPECT_EQ(other.out, "uid=0 gid=3 groups=7,9\n23\n/tmp\n");
}

TEST_F(ShimExec, GivesCapabilitiesButNeverInheritableOnes) {
    start(config(stay()));
    const std::string plain = sh("grep Cap /proc/self/status").out;
    EXPECT_THAT(plain, HasSubstr("CapInh:\t0000000000000000"));
    EXPECT_THAT(plain, HasSubstr("CapEff:\t0000000000000020"));
    const std::string more = sh("grep Cap /proc/self/status", {"--cap", "CAP_CHOWN"}).out;
    EXPECT_THAT(more, HasSubstr("CapInh:\t0000000000000000"));
    EXPECT_THAT(more, HasSubstr("CapEff:\t0000000000000021"));
    EXPECT_THAT(more, HasSubstr("CapBnd:\t0000000000000021"));
}

TEST_F(ShimExec, RefusesUsersThatAreNoNumbers) {
    start(config(stay()));
    for (const char* user : {"1x", ":1", "1:", "-1", " 1", "1 ", "4294967295", "4294967296", "1:1:1", "root"}) {
        const Result result = exec({"--user", user}, {"id"});
        EXPECT_EQ(result.code, 255) << user;
        EXPECT_THAT(result.err, ::testing::AnyOf(HasSubstr("bad uid"), HasSubstr("bad gid"))) << user;
    }
    EXPECT_EQ(exec({"--user", "1"}, {"id", "-u"}).out, "1\n");
}

TEST_F(ShimExec, TakesTheProcessFromAFile) {
    start(config(stay()));
    Json process{{"args", {"/bin/sh", "-c", "echo $X; id -u; pwd"}},
                 {"cwd", "/tmp"},
                 {"env", {"X=y", "PATH=/bin"}},
                 {"user", {{"uid", 42}, {"gid", 42}}}};
    std::ofstream(dir_ / "process.json") << process.dump();
    const Result result = exec({"--process", dir_ / "process.json"}, {});
    EXPECT_EQ(result.out, "y\n42\n/tmp\n");
    process.erase("cwd");
    std::ofstream(dir_ / "process.json") << process.dump();
    const Result bad = exec({"--process", dir_ / "process.json"}, {});
    EXPECT_EQ(bad.code, 255);
    EXPECT_THAT(bad.err, HasSubstr("process.cwd"));
}

TEST_F(ShimExec, SaysWhatIsMissing) {
    start(config(stay()));
    const Result missing = exec({}, {"no-such-program"});
    EXPECT_EQ(missing.code, 255);
    EXPECT_THAT(missing.err, HasSubstr("exec failed: exec: \"no-such-program\": executable file not found in $PATH"));
    const Result nowhere = exec({"--cwd", "/nowhere"}, {"true"});
    EXPECT_EQ(nowhere.code, 255);
    EXPECT_THAT(nowhere.err, HasSubstr("/nowhere"));
    EXPECT_THAT(call({"exec", id_}).err, HasSubstr("exec args cannot be empty"));
    EXPECT_THAT(call({"exec", "unknown-id", "true"}).err, HasSubstr("container does not exist"));
}

TEST_F(ShimExec, IsRefusedInAContainerThatHasEnded) {
    start(config(stay()));
    ASSERT_EQ(call({"kill", id_, "KILL"}).code, 0);
    for (int i = 0; i < 500 && state().at("status") != "stopped"; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const Result result = sh("true");
    EXPECT_EQ(result.code, 255);
    EXPECT_THAT(result.err, HasSubstr("cannot exec in a stopped container"));
}

TEST_F(ShimExec, HasTheContainersSeccompFilter) {
    Json json = config(stay());
    json["linux"]["seccomp"] = {
        {"defaultAction", "SCMP_ACT_ALLOW"},
        {"syscalls", {{{"names", {"mkdir", "mkdirat"}}, {"action", "SCMP_ACT_ERRNO"}, {"errnoRet", 77}}}}};
    start(json);
    EXPECT_THAT(sh("mkdir /tmp/x; grep Seccomp: /proc/self/status").out, HasSubstr("Seccomp:\t2"));
    EXPECT_NE(sh("mkdir /tmp/x").code, 0);
    EXPECT_EQ(sh("test -d /tmp/x").code, 1);
}

TEST_F(ShimExec, HandsPreservedDescriptorsOnAndNoOthers) {
    start(config(stay()));
    const posix::UniqueFd file = posix::open("/dev/null", O_RDONLY);
    const int three = ::fcntl(file.get(), F_DUPFD, 3);
    if (three != 3) {
        ::dup2(file.get(), 3);
        ::close(three);
    }
    Program given(command({"exec", "--preserve-fds", "1", id_, "ls", "/proc/self/fd"}), dir_ / "given", uid_, {3});
    EXPECT_EQ(given.wait(), 0);
    EXPECT_THAT(given.out(), HasSubstr("3\n4\n"));  // 4 is the directory that ls reads
    Program kept(command({"exec", id_, "ls", "/proc/self/fd"}), dir_ / "kept", uid_, {3});
    EXPECT_EQ(kept.wait(), 0);
    EXPECT_EQ(kept.out(), "0\n1\n2\n3\n");
    ::close(3);
    const Result missing = exec({"--preserve-fds", "40"}, {"true"});
    EXPECT_EQ(missing.code, 255);
    EXPECT_THAT(missing.err, HasSubstr("unable to stat preserved-fd"));
}

TEST_F(ShimExec, SendsItsTerminalToTheConsoleSocket) {
    start(config(stay()));
    const std::string path = dir_ / "console";
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    ASSERT_EQ(exec({"--detach", "--tty", "--console-socket", path}, {"sh", "-c", "tty; echo $((6 * 7))"}).code, 0);
    const posix::UniqueFd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    const posix::UniqueFd master = posix::receive_fd(connection);
    ::close(listener);
    std::string text;
    std::array<char, 256> buffer{};
    for (ssize_t n = 0; (n = ::read(master.get(), buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(n));
    }
    EXPECT_EQ(text, "/dev/pts/0\r\n42\r\n");
}

TEST_F(ShimExec, NeedsASocketForADetachedTerminal) {
    start(config(stay()));
    const Result result = exec({"--detach", "--tty"}, {"true"});
    EXPECT_EQ(result.code, 255);
    EXPECT_THAT(result.err, HasSubstr("cannot allocate tty if runc will detach without setting console socket"));
}

TEST_F(ShimExec, CopiesTheTerminalItselfInTheForeground) {
    start(config(stay()));
    const Result result = sh("tty; echo done", {"--tty"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "/dev/pts/0\r\ndone\r\n");
}

TEST_F(ShimExec, DiesWithItsForegroundProcess) {
    start(config(stay()));
    Program exec(command({"exec", id_, "sh", "-c", stay()}), dir_ / "exec");
    ASSERT_TRUE(exec.wait_for_output("up"));
    exec.signal(SIGKILL);
    exec.wait();
    bool gone = false;
    for (int i = 0; i < 500 && !gone; ++i) {
        std::string found = processes();
        gone = std::count(found.begin(), found.end(), '\n') == 1;  // the container's own
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(gone) << processes();
}

TEST_F(ShimExec, CannotBeTracedByTheContainerBeforeItsProgramRuns) {
    // Root in the container looks at the descriptors of every new process, as CVE-2016-9962 did.
    Json json =
        config("echo up; while :; do for p in /proc/[0-9]*; do ls -l $p/fd $p/exe $p/cwd 2>/dev/null; done; done");
    for (const char* set : {"bounding", "effective", "permitted"}) {
        json["process"]["capabilities"][set] = {"CAP_KILL", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"};
    }
    write(json);
    Program run(command({"run", "--detach", "--bundle", dir_ / "bundle", id_}), dir_ / "container");
    ASSERT_EQ(run.wait(), 0);
    for (int i = 0; i < 60; ++i) EXPECT_EQ(exec({}, {"true"}).code, 0);
    const std::string seen = run.out();
    EXPECT_NE(seen.find("/bin/busybox"), std::string::npos);
    EXPECT_EQ(seen.find("locald-shim"), std::string::npos);
    EXPECT_EQ(seen.find("/state"), std::string::npos);
}

}  // namespace
}  // namespace locald::testing
