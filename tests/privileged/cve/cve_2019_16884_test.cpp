// CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: the image or a volume brings a /proc (or /sys) of its
// own, so that what is written to protect the container goes into a plain file. CVE-2025-52881: something is put over
// the one file.

#include <sys/mount.h>

#include "core/base/error.hpp"
#include "core/posix/procfs.hpp"
#include "tests/privileged/cve/cve_fixture.hpp"
#include "tests/support/mount_table.hpp"

namespace locald::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Cve201916884 : public CveTest {
protected:
    void expect_refused(const Json& json, const std::string& text) {
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << result.out;
        EXPECT_THAT(result.err, HasSubstr(text));
        EXPECT_EQ(result.out, "");
    }
    /// Runs `deed` in a mount namespace of its own; its value is what this returns.
    static int apart(const std::function<int()>& deed) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
                ::_exit(99);
            }
            ::_exit(deed());
        }
        int status = 0;
        ::waitpid(pid, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    }
};

TEST_F(Cve201916884, AProcOrSysThatIsALinkIsRefused) {
    for (const std::string name : {"/proc", "/sys"}) {
        std::filesystem::remove(rootfs(name));
        std::filesystem::create_directories(rootfs("/elsewhere"));
        std::filesystem::create_symlink("/elsewhere", rootfs(name));
        expect_refused(config("echo ran"), "is a link");
        std::filesystem::remove(rootfs(name));
        std::filesystem::create_directories(rootfs(name));
    }
}

TEST_F(Cve201916884, AVolumeInTheProcfsPlaceIsRefusedAndItsFilesAreUntouched) {
    for (const char* name :
         {"self/attr/exec", "thread-self/attr/exec", "sys/net/ipv4/ip_forward", "self/oom_score_adj"}) {
        make_file(dir_ / "fake/" + name, "fake\n", 0666);
    }
    const auto before = look_at(dir_ / "fake");
    Json json = config("echo ran");
    json["linux"]["sysctl"] = {{"net.ipv4.ip_forward", "1"}};
    json["process"]["oomScoreAdj"] = 500;
    json["mounts"].push_back(bind_of("/proc", dir_ / "fake"));
    expect_refused(json, "not of type proc");
    remove_mount(json, "/proc");
    json["mounts"].push_back(bind_of("/proc", dir_ / "fake"));
    expect_refused(json, "not of type proc");
    json["mounts"].back() = bind_of("/proc", "/proc/self");
    expect_refused(json, "not of type proc");
    // By a detour: the volume elsewhere, and a link to it.
    std::filesystem::create_symlink("/proc/../proc", rootfs("/way"));
    json["mounts"].back() = bind_of("/way", dir_ / "fake");
    json["mounts"].push_back({{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}});
    run(json);
    EXPECT_EQ(look_at(dir_ / "fake"), before);
}

TEST_F(Cve201916884, AProcfsOfTheImageThatIsSwappedForALinkIsNeverMountedElsewhere) {
    const std::string outside = make_outside();
    const auto before = look_at(outside);
    std::filesystem::create_directories(rootfs("/elsewhere"));
    std::filesystem::create_symlink("/elsewhere", rootfs("/other"));
    const Attacker attacker(swap_of(rootfs("/proc"), rootfs("/other")));
    int ran = 0;
    repeat_for(2, [&] {
        const auto result = run_line("cat /proc/self/mountinfo || cat /elsewhere/self/mountinfo");
        if (result.code != 0) return;
        ++ran;
        // The directory itself may have a new name by now; the procfs lies on it and not where the link leads.
        EXPECT_THAT(result.out, Not(HasSubstr(" /elsewhere ")));
    });
    EXPECT_EQ(look_at(outside), before);
}

TEST_F(Cve201916884, NothingIsMountedBelowProc) {
    auto json = config("true");
    json["mounts"].push_back({{"destination", "/proc/sys"}, {"type", "tmpfs"}, {"source", "tmpfs"}});
    expect_refused(json, "\"/proc/sys\" cannot be mounted because it is inside /proc");
    for (const char* way : {"/proc/sys", "proc/self/attr", "/proc/./../proc/sys/net"}) {
        std::filesystem::remove(rootfs("/way"));
        std::filesystem::create_symlink(way, rootfs("/way"));
        json["mounts"].back()["destination"] = "/way";
        expect_refused(json, "cannot be mounted because it is inside /proc");
    }
}

TEST_F(Cve201916884, AWriteMeetsTheKernelsFileOrNone) {
    // CVE-2025-52881: another file of /proc over the target, a plain one over it, a tmpfs over all.
    EXPECT_EQ(apart([] {
                  static_cast<void>(posix::open_in_proc("self/oom_score_adj", O_WRONLY));
                  return 0;
              }),
              0);
    const auto refused_over = [&](const std::string& source, const std::string& target) {
        return apart([&] {
            if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) return 98;
            try {
                static_cast<void>(posix::open_in_proc("self/oom_score_adj", O_WRONLY));
                return 1;
            } catch (const Error&) {
                return 0;
            }
        });
    };
    make_file(dir_ / "fake/self/oom_score_adj");
    EXPECT_EQ(refused_over(dir_ / "fake/self/oom_score_adj", "/proc/self/oom_score_adj"), 0);
    EXPECT_EQ(refused_over("/proc/self/coredump_filter", "/proc/self/oom_score_adj"), 0);
    EXPECT_EQ(refused_over(dir_ / "fake", "/proc"), 0);
    EXPECT_EQ(refused_over("/proc/self", "/proc"), 0);
}

TEST_F(Cve201916884, TheRuntimesOwnWritesAreRefusedWhereSomethingCoversTheirFile) {
    make_file(dir_ / "fake", "as before\n", 0666);
    Json json = config("echo ran");
    json["process"]["oomScoreAdj"] = 321;
    write(json);
    for (const std::string& source : {dir_ / "fake", std::string("/proc/self/coredump_filter")}) {
        // The shim takes this process's place, so /proc/thread-self is the same for both.
        const int code = apart([&] {
            if (::mount(source.c_str(), "/proc/thread-self/oom_score_adj", nullptr, MS_BIND, nullptr) != 0) return 98;
            std::vector<std::string> words = command(run_words());
            std::vector<char*> argv;
            for (auto& word : words) argv.push_back(word.data());
            argv.push_back(nullptr);
            const int out = ::open((dir_ / "said").c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
            ::dup2(out, 1);
            ::dup2(out, 2);
            ::execv(argv[0], argv.data());
            return 97;
        });
        EXPECT_EQ(code, 125) << source;
        EXPECT_THAT(text_of(dir_ / "said"), HasSubstr("oom_score_adj: something is mounted over it"));
        EXPECT_EQ(text_of(dir_ / "fake"), "as before\n");
    }
}

TEST_F(Cve201916884, ASysctlIsWrittenToAProcfsOfOurOwn) {
    // In the mount namespace that the container joins, a plain file covers the target.
    make_file(dir_ / "fake", "as before\n", 0666);
    const pid_t holder = ::fork();
    if (holder == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount((dir_ / "fake").c_str(), "/proc/sys/net/ipv4/ip_forward", nullptr, MS_BIND, nullptr) != 0) {
            ::_exit(1);
        }
        ::close(::open((dir_ / "ready").c_str(), O_CREAT | O_WRONLY, 0600));
        for (;;) ::pause();
    }
    for (int i = 0; i < 500 && !std::filesystem::exists(dir_ / "ready"); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    Json json = config("true");
    for (auto& entry : json["linux"]["namespaces"]) {
        if (entry["type"] == "mount") entry["path"] = "/proc/" + std::to_string(holder) + "/ns/mnt";
    }
    json["mounts"] = Json::array();
    json["linux"].erase("maskedPaths");
    json["linux"].erase("readonlyPaths");
    json["linux"]["sysctl"] = {{"net.ipv4.ip_forward", "1"}};
    const auto result = run(json);
    ::kill(holder, SIGKILL);
    ::waitpid(holder, nullptr, 0);
    EXPECT_EQ(text_of(dir_ / "fake"), "as before\n") << result.err;
}

}  // namespace
}  // namespace locald::testing
