// CVE-2019-5736: the container gets hold of the runtime's own file and writes it. Each test carries the attack out with
// a copy of the shim, and looks at the copy afterwards.

#include <sys/mount.h>
#include <sys/syscall.h>

#include "shim/process/own_program.hpp"
#include "tests/privileged/cve/cve_fixture.hpp"

namespace locald::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Cve20195736 : public CveTest {
protected:
    void SetUp() override {
        CveTest::SetUp();
        before_ = text_of(dir_ / "locald-shim");
        ASSERT_GT(before_.size(), 100000U);
    }
    void TearDown() override {
        EXPECT_TRUE(before_ == text_of(dir_ / "locald-shim")) << "the runtime's file was changed";
        CveTest::TearDown();
    }

    /// The container's own process: finds a process whose program is not the image's, holds the file by a descriptor,
    /// waits until nothing executes it any more, opens the descriptor's file again for writing and writes.
    static std::string overwriter() {
        // Nothing is forked before the file is held: the runtime's processes may be as many as there may be.
        return "echo up; while :; do for p in /proc/[0-9]*; do "
               "[ -e $p/exe ] || continue; [ $p/exe -ef /bin/busybox ] && continue; exec 3<$p/exe || continue; "
               "echo '#!/bin/true' >/script; kill -9 ${p#/proc/}; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; "
               "echo held $(readlink /proc/self/fd/3); "
               "for i in $(seq 40); do sleep 0.05; (echo owned >>/proc/self/fd/3) && echo written; done; "
               "echo over; sleep 1000; done; done 2>&1";
    }
    void expect_attack_failed() const {
        ASSERT_TRUE(container_says("over")) << container_out();
        EXPECT_THAT(container_out(), HasSubstr("held"));
        EXPECT_THAT(container_out(), Not(HasSubstr("written")));
    }

    std::string before_;
};

TEST_F(Cve20195736, AProcessThatBecameTheRuntimeByProcSelfExeLeadsToNoFileThatCanBeWritten) {
    start(config(overwriter()));
    const Result became = exec({}, {"/proc/self/exe", "init", "--", "/bin/sleep", "5"});
    EXPECT_NE(became.code, 0);
    expect_attack_failed();
    EXPECT_THAT(container_out(), HasSubstr("Read-only file system"));
}

TEST_F(Cve20195736, AScriptWhoseInterpreterIsTheRuntimeLeadsToNoFileThatCanBeWritten) {
    make_file(rootfs("/script"), "#!/proc/self/exe init\n", 0755);
    Json json = config(overwriter());
    json["linux"]["resources"]["pids"]["limit"] = 30;  // the interpreter starts the script again
    start(json);
    exec({}, {"/script"});
    expect_attack_failed();
}

TEST_F(Cve20195736, AFirstProcessThatIsTheRuntimeCannotBeOverwrittenEither) {
    Json json = config("");
    json["process"]["args"] = {
        "/proc/self/exe", "init", "--",
        "/bin/sh",        "-c",   "readlink /proc/1/exe; echo owned >>/proc/1/exe; echo owned >/proc/1/exe"};
    const Result result = run(json);
    EXPECT_THAT(result.out, HasSubstr("/\n"));
    EXPECT_THAT(result.err, HasSubstr("Read-only file system"));
}

TEST_F(Cve20195736, AllRightsInTheContainerMakeTheFileNoMoreWritable) {
    // Every capability but those that reach the host without the runtime's help, on a process that is the runtime.
    Json json = config("echo up; sleep 1000");
    give_capabilities(json, {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL"});
    start(json);
    const Result detached =
        exec({"--detach", "--pid-file", dir_ / "pid"}, {"/proc/self/exe", "init", "--", "/bin/sleep", "1000"});
    ASSERT_EQ(detached.code, 0) << detached.err;
    const pid_t pid = std::stoi(text_of(dir_ / "pid"));
    const pid_t attacker = ::fork();
    if (attacker == 0) {
        const auto container = posix::pidfd_open(pid);
        if (::setns(container.get(), CLONE_NEWNS | CLONE_NEWPID) != 0) ::_exit(100);
        const pid_t inside = ::fork();
        if (inside != 0) {
            int status = 0;
            ::waitpid(inside, &status, 0);
            ::_exit(WEXITSTATUS(status));
        }
        // The number is another one in there: the last process that is not busybox.
        int held = -1;
        for (int i = 1; i < 100 && held < 0; ++i) {
            std::array<char, 64> text{};
            const std::string link = "/proc/" + std::to_string(i) + "/exe";
            if (::readlink(link.c_str(), text.data(), text.size() - 1) > 0 && std::string(text.data()) == "/") {
                held = ::open(link.c_str(), O_PATH);
            }
        }
        if (held < 0) ::_exit(101);
        const std::string name = "/proc/self/fd/" + std::to_string(held);
        mount_attr writable{};
        writable.attr_clr = MOUNT_ATTR_RDONLY;
        if (::open(name.c_str(), O_WRONLY) >= 0) ::_exit(1);
        if (::syscall(SYS_mount_setattr, held, "", AT_EMPTY_PATH, &writable, sizeof writable) == 0) ::_exit(2);
        if (::mount("", name.c_str(), nullptr, MS_REMOUNT | MS_BIND, nullptr) == 0) ::_exit(3);
        if (::syscall(SYS_open_tree, held, "", OPEN_TREE_CLONE | AT_EMPTY_PATH) >= 0) ::_exit(4);
        if (::mount(name.c_str(), "/bin/true", nullptr, MS_BIND, nullptr) == 0) ::_exit(5);
        if (::chmod(name.c_str(), 0777) == 0) ::_exit(6);
        if (::truncate(name.c_str(), 0) == 0) ::_exit(7);
        if (::linkat(AT_FDCWD, name.c_str(), AT_FDCWD, "/linked", AT_SYMLINK_FOLLOW) == 0) ::_exit(8);
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(attacker, &status, 0), attacker);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(Cve20195736, AProcessThatJoinsNeverShowsTheFile) {
    // With the right to trace, processes that are not dumpable are no secret; what they execute still is not writable.
    Json json = config("echo up; sleep 1000");
    give_capabilities(json, {"CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_KILL"});
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
                inside = true;
            }
            for (int i = 2; i < 400; ++i) {
                if (i == ::getpid()) continue;
                const int held = ::open(("/proc/" + std::to_string(i) + "/exe").c_str(), O_PATH);
                if (held < 0) continue;
                std::array<char, 64> text{};
                const std::string name = "/proc/self/fd/" + std::to_string(held);
                static_cast<void>(::readlink(name.c_str(), text.data(), text.size() - 1));
                if (std::string(text.data()) != "/bin/busybox") {
                    // ETXTBSY would be a file that can be written once nothing executes it.
                    const int opened = ::open(name.c_str(), O_WRONLY | O_TRUNC);
                    const bool refused = opened < 0 && errno == EROFS;
                    const std::string answer = (refused ? "." : "!") + std::string(text.data()) + "\n";
                    static_cast<void>(::write(tell[1], answer.data(), answer.size()));
                    if (opened >= 0) ::close(opened);
                }
                ::close(held);
            }
        });
        repeat_for(2, [&] { EXPECT_EQ(exec({}, {"true"}).code, 0); });
    }
    std::array<char, 4096> told{};
    const ssize_t n = ::read(tell[0], told.data(), told.size());
    ::close(tell[0]);
    ::close(tell[1]);
    const std::string answers(told.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    EXPECT_THAT(answers, HasSubstr(".")) << "the attacker never saw one that joined";
    EXPECT_THAT(answers, Not(HasSubstr("!")));
}

TEST_F(Cve20195736, AnOrdinaryUsersOwnShimIsASealedCopy) {
    constexpr uid_t user = 54321;
    uid_ = user;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
        ASSERT_EQ(::lchown(entry.path().c_str(), user, user), 0);
    }
    ASSERT_EQ(::chown(dir_.path().c_str(), user, user), 0);
    Json json = config(overwriter());
    json["linux"]["namespaces"].push_back({{"type", "user"}});
    json["linux"]["uidMappings"] = json["linux"]["gidMappings"] =
        Json::array({{{"containerID", 0}, {"hostID", user}, {"size", 1}}});
    start(json);
    exec({}, {"/proc/self/exe", "init", "--", "/bin/sleep", "5"});
    expect_attack_failed();
    EXPECT_THAT(container_out(), HasSubstr("held /memfd:locald-shim (deleted)"));
}

TEST_F(Cve20195736, AnOrdinaryUserStartsRootsShimOnlyOnce) {
    constexpr uid_t user = 54321;
    uid_ = user;
    ASSERT_EQ(::chown(dir_.path().c_str(), user, user), 0);
    Json json = config("echo up; readlink /proc/1/exe; : marker-" + id_ + "; while :; do sleep 0.05; done");
    json["linux"]["namespaces"].push_back({{"type", "user"}});
    json["linux"]["uidMappings"] = json["linux"]["gidMappings"] =
        Json::array({{{"containerID", 0}, {"hostID", user}, {"size", 1}}});
    ASSERT_EQ(::chown(rootfs().c_str(), user, user), 0);
    write(json);
    Program program(command(run_words()), dir_ / "run", user);
    ASSERT_TRUE(program.wait_for_output("up")) << program.err();
    EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(program.pid()) + "/exe"), dir_ / "locald-shim");
    call({"kill", id_, "KILL"});
    program.wait();
}

TEST_F(Cve20195736, SaysThatProcIsMissingInsteadOfGoingOnUnprotected) {
    write(config("echo ran"));
    for (const auto& words : {run_words(), std::vector<std::string>{"exec", id_, "true"}}) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                ::umount2("/proc", MNT_DETACH) != 0) {
                ::_exit(99);
            }
            Program program(command(words), dir_ / "without");
            ::_exit(program.wait());
        }
        int status = 0;
        ASSERT_EQ(::waitpid(pid, &status, 0), pid);
        EXPECT_EQ(WEXITSTATUS(status), words[0] == "exec" ? 255 : 125);
        EXPECT_THAT(text_of(dir_ / "without.err"), HasSubstr("a procfs must be mounted at /proc"));
        EXPECT_EQ(text_of(dir_ / "without.out"), "");
    }
}

TEST_F(Cve20195736, ArgumentsEnvironmentAndDescriptorsSurviveTheSecondStart) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    // --preserve-fds 1 hands 3 on, whatever the runtime opens before it starts itself again.
    write(config("echo handed >&3; echo \"$A\"; ls /proc/self/fd"));
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::dup2(pipe[1], 3);
        ::fcntl(3, F_SETFD, 0);
        ::setenv("LISTEN_FDS", "1", 1);
        std::vector<std::string> words = command(run_words());
        words.insert(words.end(), {"--preserve-fds", "1"});
        std::vector<char*> argv;
        for (auto& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        const int out = ::open((dir_ / "handed.out").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ::dup2(out, 1);
        ::close_range(4, ~0U, 0);
        ::execv(argv[0], argv.data());
        ::_exit(99);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    ::close(pipe[1]);
    std::array<char, 16> text{};
    EXPECT_EQ(::read(pipe[0], text.data(), text.size()), 7);
    ::close(pipe[0]);
    EXPECT_STREQ(text.data(), "handed\n");
    EXPECT_EQ(text_of(dir_ / "handed.out"), "\n0\n1\n2\n3\n4\n") << "4 is that of ls";
}

// The first start leaves its mount open at a number of its own choice, which nobody else may ever see.
TEST_F(Cve20195736, TheMountOfTheSecondStartIsNobodyElses) {
    write(config("ls -l /proc/self/fd; echo end"));
    const auto run_with_63 = [&](const char* preserved, bool taken) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            std::vector<std::string> words = command(run_words());
            words.insert(words.end(), {"--preserve-fds", preserved});
            std::vector<char*> argv;
            for (auto& word : words) argv.push_back(word.data());
            argv.push_back(nullptr);
            const int out = ::open((dir_ / "mount.out").c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
            const int err = ::open((dir_ / "mount.err").c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
            ::dup2(out, 1);
            ::dup2(err, 2);
            for (int fd = 3; fd < 63; ++fd) ::dup2(0, fd);
            if (taken) ::dup2(0, 63);  // as bash does for <(…)
            ::close_range(taken ? 64 : 63, ~0U, 0);
            ::execv(argv[0], argv.data());
            ::_exit(99);
        }
        int status = 0;
        EXPECT_EQ(::waitpid(pid, &status, 0), pid);
        return WEXITSTATUS(status);
    };
    EXPECT_EQ(run_with_63("0", false), 0);
    EXPECT_THAT(text_of(dir_ / "mount.out"), ::testing::Not(HasSubstr("locald-shim")));
    EXPECT_THAT(text_of(dir_ / "mount.out"), ::testing::Not(HasSubstr(" 63 ")));
    EXPECT_EQ(run_with_63("0", true), 0);
    EXPECT_THAT(text_of(dir_ / "mount.out"), ::testing::Not(HasSubstr(" 63 ")));
    EXPECT_EQ(run_with_63("61", true), 0);
    EXPECT_THAT(text_of(dir_ / "mount.out"), HasSubstr(" 63 ->"));
    EXPECT_THAT(text_of(dir_ / "mount.out"), ::testing::Not(HasSubstr("locald-shim")));
    EXPECT_EQ(run_with_63("61", false), 125);
    EXPECT_THAT(text_of(dir_ / "mount.err"), HasSubstr("unable to stat preserved-fd 60 (of 61): Bad file descriptor"));
}

TEST(OwnProgram, AsksTheKernelWhetherAFileCanBeWritten) {
    EXPECT_FALSE(shim::is_unwritable("/proc/self/exe"));
    EXPECT_FALSE(shim::is_unwritable("/nowhere"));
    const auto copy = posix::memfd_create("copy");
    const std::string link = "/proc/self/fd/" + std::to_string(copy.get());
    EXPECT_FALSE(shim::is_unwritable(link));
    ASSERT_EQ(::fcntl(copy.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK), 0);
    EXPECT_FALSE(shim::is_unwritable(link)) << "what is there can still be changed";
    ASSERT_EQ(::fcntl(copy.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL), 0);
    EXPECT_TRUE(shim::is_unwritable(link));
}

TEST(OwnProgram, TakesAReadOnlyMountThatSomebodyMayChangeForNoProtection) {
    LOCALD_REQUIRE(::geteuid() == 0, "root");
    const pid_t pid = ::fork();
    if (pid == 0) {
        TempDir dir;
        std::ofstream(dir / "file") << "x";
        const std::string file = dir / "file";
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount(file.c_str(), file.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
            ::mount("", file.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
            ::_exit(99);
        }
        const int held = ::open(file.c_str(), O_PATH);
        const bool protected_there = shim::is_unwritable("/proc/self/fd/" + std::to_string(held));
        ::close(held);
        ::umount2(file.c_str(), MNT_DETACH);
        std::filesystem::remove_all(dir.path());
        ::_exit(protected_there ? 1 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(OwnProgram, IsProtectedWhereverAContainerCouldHaveAnIdThatMayWriteIt) {
    struct stat program {};
    program.st_mode = S_IFREG | 0755;
    constexpr unsigned user = 1000;
    EXPECT_TRUE(shim::needs_protection(program, 0)) << "root's containers may have root's ids";
    EXPECT_FALSE(shim::needs_protection(program, user));
    program.st_uid = user;
    EXPECT_TRUE(shim::needs_protection(program, user));
    EXPECT_TRUE(shim::needs_protection(program, user + 1)) << "root may have granted the id to both";
    program.st_uid = 0;
    for (const mode_t mode : {0775U, 0757U}) {
        program.st_mode = S_IFREG | mode;
        EXPECT_TRUE(shim::needs_protection(program, user));
    }
}

TEST(OwnProgram, CopiesOfAProgramWhatTheKernelMaps) {
    const auto file = posix::open(shim_path(), O_RDONLY);
    const auto size = static_cast<std::size_t>(posix::fstat(file, "shim").st_size);
    const std::size_t mapped = shim::mapped_size(file.get(), size);
    EXPECT_GT(mapped, 100000U);
    EXPECT_LT(mapped, size);
    const auto text = posix::open("/etc/passwd", O_RDONLY);
    EXPECT_EQ(shim::mapped_size(text.get(), 77), 77U);
}

}  // namespace
}  // namespace locald::testing
