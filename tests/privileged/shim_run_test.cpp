#include <sys/socket.h>

#include "core/posix/syscalls.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::Program;
using locald::testing::ShimTest;

class ShimRun : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }
};

TEST_F(ShimRun, EndsWithTheProgramsExitCode) {
    EXPECT_EQ(run_line("exit 0").code, 0);
    EXPECT_EQ(run_line("exit 7").code, 7);
    EXPECT_EQ(run_line("kill -9 $$; sleep 1").code, 0) << "process 1 of a pid namespace cannot kill itself";
}

TEST_F(ShimRun, TellsAProgramThatIsNotThereFromOneThatCannotBeExecuted) {
    auto json = config("");
    json["process"]["args"] = {"nope"};
    const auto missing = run(json);
    EXPECT_EQ(missing.code, 127);
    EXPECT_NE(missing.err.find("exec: \"nope\": executable file not found in $PATH"), std::string::npos) << missing.err;
    json["process"]["args"] = {"/etc"};
    EXPECT_EQ(run(json).code, 126);
}

TEST_F(ShimRun, GivesTheContainerItsOwnNamespaces) {
    const auto result = run_line("echo $$; hostname; readlink /proc/self/ns/net; ls /sys/class/net");
    std::error_code ignored;
    const auto host = std::filesystem::read_symlink("/proc/self/ns/net", ignored).string();
    EXPECT_TRUE(result.out.starts_with("1\nbox\n")) << result.out << result.err;
    EXPECT_EQ(result.out.find(host), std::string::npos);
    EXPECT_NE(result.out.find("lo\n"), std::string::npos);
}

TEST_F(ShimRun, MasksAndProtectsPaths) {
    const auto result = run_line(
        "cat /proc/timer_list; ls /sys/firmware; echo x >/proc/sys/kernel/hostname && echo written;"
        "grep -c ' /proc/sys ' /proc/mounts");
    EXPECT_EQ(result.out, "1\n") << result.out;
    EXPECT_NE(result.err.find("Read-only file system"), std::string::npos) << result.err;
}

TEST_F(ShimRun, LetsNobodyChangeTheHostsNullDeviceThroughAMaskedFile) {
    // To the mode that it has: nothing is broken where this is allowed.
    const auto result =
        run_line("/bin/busybox chmod 666 /proc/timer_list || echo refused; echo x >/proc/timer_list && echo taken");
    EXPECT_EQ(result.out, "refused\ntaken\n");
    EXPECT_NE(result.err.find("Read-only file system"), std::string::npos) << result.err;
}

TEST_F(ShimRun, MakesTheRootReadOnlyOnlyWhenAsked) {
    auto json = config("touch /x && echo written");
    json["root"]["readonly"] = true;
    EXPECT_EQ(run(json).out, "");
    EXPECT_FALSE(std::filesystem::exists(rootfs("/x")));
    json["root"]["readonly"] = false;
    EXPECT_EQ(run(json).out, "written\n");
}

TEST_F(ShimRun, MakesTheDefaultDevicesAndLinks) {
    const auto result = run_line(
        "stat -c '%t:%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty;"
        "readlink /dev/ptmx; readlink /dev/fd");
    EXPECT_EQ(result.out, "1:3 666\n1:5 666\n1:7 666\n1:8 666\n1:9 666\n5:0 666\npts/ptmx\n/proc/self/fd\n")
        << result.err;
}

TEST_F(ShimRun, GivesOnlyTheConfiguredRights) {
    const auto result = run_line("grep -E 'CapEff|CapBnd|CapInh|NoNewPrivs' /proc/self/status");
    EXPECT_EQ(result.out,
              "CapInh:\t0000000000000000\nCapEff:\t0000000000000020\nCapBnd:\t0000000000000020\nNoNewPrivs:\t1\n");
}

TEST_F(ShimRun, LeaksNoDescriptor) {
    write(config("ls /proc/self/fd"));
    const int leaked = ::open("/", O_RDONLY);
    Program program(command(run_words()), dir_ / "run", uid_, {leaked});
    EXPECT_EQ(program.wait(), 0);
    ::close(leaked);
    EXPECT_EQ(program.out(), "0\n1\n2\n3\n") << "3 is the directory that ls reads";
}

TEST_F(ShimRun, KeepsPreservedDescriptors) {
    write(config("cat <&3"));
    const auto pipe = locald::posix::make_pipe();
    ASSERT_EQ(::write(pipe.write.get(), "hello", 5), 5);
    ASSERT_EQ(::dup2(pipe.read.get(), 3), 3) << "the test needs descriptor 3";
    ::close(pipe.write.get());
    auto words = run_words();
    words.insert(words.end(), {"--preserve-fds", "1"});
    Program program(command(words), dir_ / "run", uid_, {3});
    EXPECT_EQ(program.wait(), 0);
    EXPECT_EQ(program.out(), "hello") << program.err();
}

TEST_F(ShimRun, ForwardsSignals) {
    write(config("trap 'echo got; exit 9' USR1; echo up; while :; do sleep 0.05; done"));
    Program program(command(run_words()), dir_ / "run");
    ASSERT_TRUE(program.wait_for_output("up"));
    program.signal(SIGUSR1);
    EXPECT_EQ(program.wait(), 9);
    EXPECT_EQ(program.out(), "up\ngot\n");
}

TEST_F(ShimRun, EndsByASignalThatComesBeforeTheProgramRuns) {
    auto json = config("echo program");
    json["hooks"] = {
        {"createContainer",
         {{{"path", "/bin/busybox"},
           {"args", {"sh", "-c", "/bin/busybox touch " + rootfs("/in-hook") + "; exec /bin/busybox sleep 20"}}}}}};
    write(json);
    Program program(command(run_words()), dir_ / "run");
    for (int i = 0; i < 500 && !std::filesystem::exists(rootfs("/in-hook")); ++i) ::usleep(10'000);
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 128 + SIGTERM);
    EXPECT_EQ(program.out(), "");
    EXPECT_EQ(program.err(), "");
}

TEST_F(ShimRun, ReportsEventsAsJsonLines) {
    write(config("exit 3"));
    auto pipe = locald::posix::make_pipe();
    auto words = run_words();
    words.insert(words.end(), {"--report-fd", std::to_string(pipe.write.get())});
    Program program(command(words), dir_ / "run", uid_, {pipe.write.get()});
    pipe.write.reset();
    EXPECT_EQ(program.wait(), 3);
    std::array<char, 4096> text{};
    const ssize_t size = ::read(pipe.read.get(), text.data(), text.size());
    std::stringstream lines(std::string(text.data(), static_cast<std::size_t>(size)));
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(Json::parse(line).at("event"), "started");
    ASSERT_TRUE(std::getline(lines, line));
    const auto exited = Json::parse(line);
    EXPECT_EQ(exited, Json::parse(R"({"event":"exited","code":3,"signal":0,"oom":false})"));
    EXPECT_EQ(program.err(), "");
}

TEST_F(ShimRun, KillsTheContainerWhenTheReportsReaderGoes) {
    write(config(stay()));
    auto pipe = locald::posix::make_pipe();
    auto words = run_words();
    words.insert(words.end(), {"--report-fd", std::to_string(pipe.write.get())});
    Program program(command(words), dir_ / "run", uid_, {pipe.write.get()});
    pipe.write.reset();
    ASSERT_TRUE(program.wait_for_output("up"));
    pipe.read.reset();
    EXPECT_EQ(program.wait(), 137);
}

TEST_F(ShimRun, HandsTheTerminalOver) {
    auto json = config("tty; exit 3");
    json["process"]["terminal"] = true;
    json["process"]["consoleSize"] = {{"height", 30}, {"width", 90}};
    write(json);
    auto [ours, theirs] = locald::posix::make_socket_pair();
    auto words = run_words();
    words.insert(words.end(), {"--console-fd", std::to_string(theirs.get())});
    Program program(command(words), dir_ / "run", uid_, {theirs.get()});
    theirs.reset();
    const auto master = locald::posix::receive_fd(ours);
    std::string text;
    std::array<char, 256> block{};
    for (ssize_t n = 0; (n = ::read(master.get(), block.data(), block.size())) > 0;) {
        text.append(block.data(), static_cast<std::size_t>(n));
    }
    EXPECT_EQ(program.wait(), 3);
    EXPECT_EQ(text, "/dev/pts/0\r\n");
}

TEST_F(ShimRun, RunsHooksAtTheirMoments) {
    auto json = config("echo program >>/log");
    const std::string log = rootfs("/log");
    const auto hook = [&](const std::string& name, const std::string& file) {
        return Json::array({{{"path", "/bin/busybox"},
                             {"args", {"sh", "-c", "/bin/busybox cat >/dev/null; echo " + name + " >>" + file}}}});
    };
    json["hooks"] = {{"prestart", hook("prestart", log)},
                     {"createRuntime", hook("createRuntime", log)},
                     {"createContainer", hook("createContainer", log)},
                     {"startContainer", hook("startContainer", "/log")},
                     {"poststop", hook("poststop", log)}};
    EXPECT_EQ(run(json).code, 0);
    std::ifstream file(log);
    std::stringstream text;
    text << file.rdbuf();
    EXPECT_EQ(text.str(), "prestart\ncreateRuntime\ncreateContainer\nstartContainer\nprogram\npoststop\n");
}

TEST_F(ShimRun, FailsWhenAHookFailsAndStillRunsPoststop) {
    auto json = config("echo program");
    json["hooks"] = {{"createRuntime", {{{"path", "/bin/busybox"}, {"args", {"false"}}}}},
                     {"poststop", {{{"path", "/bin/busybox"}, {"args", {"touch", dir_ / "stopped"}}}}}};
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("error running createRuntime hook #0"), std::string::npos) << result.err;
    EXPECT_TRUE(std::filesystem::exists(dir_ / "stopped"));
}

TEST_F(ShimRun, MountsAnOverlayRootOfManyLayers) {
    auto json = config("cat /layer-0 /layer-39; echo new >/new");
    std::string lower;
    for (int i = 0; i < 40; ++i) {
        const std::string layer = dir_ / ("a layer: with \\ odd letters " + std::to_string(i));
        std::filesystem::create_directories(layer);
        std::ofstream(layer + "/layer-" + std::to_string(i)) << i << "\n";
        for (const char c : layer + ":") {
            if (c == '\\') lower += '\\';
            lower += c;
        }
    }
    // Colons inside names are escaped, those between names are not.
    std::string escaped;
    for (std::size_t i = 0; i < lower.size(); ++i) {
        if (lower.compare(i, 7, ": with ") == 0) escaped += '\\';
        escaped += lower[i];
    }
    std::filesystem::create_directories(dir_ / "upper");
    std::filesystem::create_directories(dir_ / "work");
    json["mounts"].insert(json["mounts"].begin(),
                          Json{{"destination", "/"},
                               {"type", "overlay"},
                               {"source", "overlay"},
                               {"options",
                                {"lowerdir=" + escaped + rootfs(), "upperdir=" + (dir_ / "upper"),
                                 "workdir=" + (dir_ / "work"), "userxattr", "volatile"}}});
    std::filesystem::create_directories(dir_ / "bundle/merged");
    json["root"]["path"] = "merged";
    const auto result = run(json);
    EXPECT_EQ(result.out, "0\n39\n") << result.err;
    EXPECT_TRUE(std::filesystem::exists(dir_ / "upper/new"));
    EXPECT_TRUE(std::filesystem::is_empty(dir_ / "bundle/merged"));
}

TEST_F(ShimRun, BindsReadOnlyDirectoriesAndFiles) {
    std::filesystem::create_directories(dir_ / "volume");
    std::ofstream(dir_ / "volume/file") << "content\n";
    auto json = config("cat /data/file /etc/one; touch /data/x; touch /etc/one && echo rw");
    json["mounts"].push_back(
        {{"destination", "/data"}, {"source", dir_ / "volume"}, {"options", {"rbind", "ro", "rprivate"}}});
    json["mounts"].push_back({{"destination", "/etc/one"}, {"source", dir_ / "volume/file"}, {"options", {"bind"}}});
    const auto result = run(json);
    EXPECT_EQ(result.out, "content\ncontent\nrw\n") << result.err;
    EXPECT_NE(result.err.find("Read-only"), std::string::npos);
}

TEST_F(ShimRun, CopiesUpIntoATmpfs) {
    std::filesystem::create_directories(rootfs("/etc/deep"));
    std::ofstream(rootfs("/etc/deep/file")) << "below\n";
    auto json = config("cat /etc/deep/file; touch /etc/deep/new");
    json["mounts"].push_back(
        {{"destination", "/etc"}, {"type", "tmpfs"}, {"source", "tmpfs"}, {"options", {"tmpcopyup"}}});
    EXPECT_EQ(run(json).out, "below\n");
    EXPECT_FALSE(std::filesystem::exists(rootfs("/etc/deep/new")));
}

}  // namespace
