#include "shim/cgroup/cgroup.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <new>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup/dir.hpp"
#include "tests/support/cgroup_fixture.hpp"
#include "tests/support/require.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::shim {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

using testing::above;
using testing::create;
using testing::read_line;
using testing::sleep_for_ever;
using Process = testing::CgroupProcess;
using CgroupLive = testing::CgroupTest;

TEST_F(CgroupLive, PlansEveryDirectoryBeforeTheFirstOneExists) {
    const auto planned = Cgroup::plan(spec_, "web");
    ASSERT_FALSE(planned.empty());
    for (const auto& path : planned) EXPECT_FALSE(std::filesystem::exists(path)) << path;
    const auto cgroup = create(spec_, planned);
    EXPECT_EQ(cgroup.paths(), planned);
    for (const auto& path : planned) EXPECT_TRUE(std::filesystem::exists(path)) << path;
    cgroup.remove();
    for (const auto& path : planned) EXPECT_FALSE(std::filesystem::exists(above(above(path)))) << path;
}

TEST_F(CgroupLive, HoldsTheProcessInEveryHierarchy) {
    resources().pids_limit = cgroup_host().v1("pids") != nullptr ? std::optional<std::int64_t>(30) : std::nullopt;
    const auto cgroup = make();
    Process process(cgroup, sleep_for_ever);
    const std::string text = posix::read_file("/proc/" + std::to_string(process.pid()) + "/cgroup");
    for (const auto& path : cgroup.paths()) {
        EXPECT_THAT(read_line(path + "/cgroup.procs"), std::to_string(process.pid())) << path;
    }
    EXPECT_THAT(text, HasSubstr(spec_.linux_->cgroups_path));
    EXPECT_THAT(cgroup.processes(), ::testing::ElementsAre(process.pid()));
    cgroup.kill_all();
    EXPECT_EQ(WTERMSIG(process.wait()), SIGKILL);
    cgroup.remove();
}

TEST_F(CgroupLive, WritesLimitsAboveTheProcesses) {
    if (cgroup_host().v1("memory") == nullptr || cgroup_host().v1("pids") == nullptr) return;  // the next test's case
    resources().memory.emplace();
    resources().memory->limit = 64 << 20;
    resources().memory->swap = 128 << 20;
    resources().pids_limit = 20;
    resources().cpu.emplace();
    resources().cpu->shares = 512;
    resources().cpu->quota = 50000;
    resources().cpu->period = 100000;
    resources().cpu->cpus = "0";
    const auto cgroup = make();
    EXPECT_EQ(read_line(above(place("memory")) + "/memory.limit_in_bytes"), std::to_string(64 << 20));
    EXPECT_EQ(read_line(above(place("memory")) + "/memory.memsw.limit_in_bytes"), std::to_string(128 << 20));
    EXPECT_EQ(read_line(above(place("pids")) + "/pids.max"), "20");
    EXPECT_EQ(read_line(place("pids") + "/pids.max"), "max");
    EXPECT_EQ(read_line(above(place("cpu")) + "/cpu.shares"), "512");
    EXPECT_EQ(read_line(above(place("cpu")) + "/cpu.cfs_quota_us"), "50000");
    EXPECT_EQ(read_line(above(place("cpuset")) + "/cpuset.cpus"), "0");
    Process process(cgroup, sleep_for_ever);  // a cpuset without cpus would refuse it
    EXPECT_EQ(read_line(place("cpuset") + "/cgroup.procs"), std::to_string(process.pid()));
    cgroup.kill_all();
    process.wait();
    cgroup.remove();
}

TEST_F(CgroupLive, WritesLimitsOfTheUnifiedTree) {
    const auto* v2 = cgroup_host().v2();
    if (v2 == nullptr) return;
    LOCALD_REQUIRE(CgroupDir::root_of(*v2).read("cgroup.controllers").value_or("").find("hugetlb") != std::string::npos,
                   "the hugetlb controller on cgroup v2");
    resources().hugepage_limits = {{"2MB", 8U << 20U}};
    resources().unified["cgroup.max.depth"] = "7";
    const auto cgroup = make();
    const std::string dir = above(v2->mount_point + spec_.linux_->cgroups_path);
    EXPECT_EQ(read_line(dir + "/hugetlb.2MB.max"), std::to_string(8U << 20U));
    EXPECT_EQ(read_line(dir + "/cgroup.max.depth"), "7");
    cgroup.remove();
}

TEST_F(CgroupLive, NamesTheLimitItsFileAndARemedyWhenTheControllerIsMissing) {
    resources().rdma["mlx5_0"] = {1, 1};
    std::string line;
    try {
        make();
    } catch (const Error& e) {
        line = e.what();
    }
    EXPECT_THAT(line, HasSubstr("linux.resources.rdma.mlx5_0"));
    EXPECT_THAT(line, HasSubstr("rdma.max"));
    EXPECT_THAT(line, HasSubstr("leave the limit out"));
}

TEST_F(CgroupLive, LeavesNothingWhenALimitIsRefused) {
    if (cgroup_host().v1("pids") != nullptr) {
        resources().cpu.emplace();
        resources().cpu->cpus = "4000";
    } else {
        resources().unified["cgroup.max.depth"] = "much";
    }
    const auto planned = Cgroup::plan(spec_, "web");
    EXPECT_THROW(create(spec_, planned), Error);
    for (const auto& path : planned) EXPECT_FALSE(std::filesystem::exists(above(above(above(above(path)))))) << path;
}

TEST_F(CgroupLive, RefusesACgroupThatHasProcesses) {
    const auto cgroup = make();
    Process process(cgroup, sleep_for_ever);
    try {
        Cgroup::plan(spec_, "web");
        ADD_FAILURE() << "planned into a cgroup in use";
    } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("container's cgroup is not empty: 1 process(es) found"));
    }
    cgroup.kill_all();
    process.wait();
    cgroup.remove();
}

TEST_F(CgroupLive, KillsAForkBombAndRemovesWhatItMade) {
    constexpr int most = 300;
    void* shared = ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    auto* count = new (shared) std::atomic<int>(0);
    const auto cgroup = make();
    for (const auto& path : cgroup.paths()) {
        ASSERT_EQ(::mkdir((path + "/inner").c_str(), 0755), 0);
    }
    Process process(cgroup, [count] {
        ::signal(SIGCHLD, SIG_IGN);
        // Every process makes more of its kind, as fast as it can, up to the bound.
        while (count->fetch_add(1) < most) {
            if (::fork() < 0) break;
        }
        return sleep_for_ever();
    });
    while (count->load() < most / 2) ::usleep(1000);
    cgroup.kill_all();
    EXPECT_THAT(cgroup.processes(), IsEmpty());
    EXPECT_EQ(WTERMSIG(process.wait()), SIGKILL);
    cgroup.remove();
    for (const auto& path : cgroup.paths()) EXPECT_FALSE(std::filesystem::exists(above(path))) << path;
    ::munmap(shared, sizeof(std::atomic<int>));
}

TEST_F(CgroupLive, CanBeKilledAndRemovedFromItsPathsAlone) {
    const auto paths = make().paths();
    const auto again = Cgroup::from_paths(paths);
    Process process(again, sleep_for_ever);
    Cgroup::from_paths(paths).kill_all();
    process.wait();
    Cgroup::from_paths(paths).remove();
    Cgroup::from_paths(paths).kill_all();
    Cgroup::from_paths(paths).remove();  // a second delete finds nothing and says nothing
}

TEST_F(CgroupLive, FiltersDevices) {
    resources().devices = {{false, "a", {}, {}, "rwm"}};
    const testing::TempDir dir;
    // A number without a driver: ENXIO where the cgroup lets it through, EPERM where it does not.
    const std::string node = dir / "node";
    ASSERT_EQ(::mknod(node.c_str(), S_IFCHR | 0600, makedev(99, 99)), 0);
    const auto cgroup = make();
    const auto open_errno = [](const char* path) {
        const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
        return fd >= 0 ? 0 : errno;
    };
    EXPECT_EQ(open_errno(node.c_str()), ENXIO);
    Process process(cgroup, [&] { return open_errno("/dev/null") == 0 ? open_errno(node.c_str()) : 99; });
    EXPECT_EQ(WEXITSTATUS(process.wait()), EPERM);
    cgroup.kill_all();
    cgroup.remove();
}

TEST_F(CgroupLive, KnowsThatTheKernelKilledForMemory) {
    if (cgroup_host().v1("memory") == nullptr) return;  // v2 without the memory controller
    resources().memory.emplace();
    resources().memory->limit = 16 << 20;
    resources().memory->swap = 16 << 20;
    const auto cgroup = make();
    EXPECT_FALSE(cgroup.oom_killed());
    Process process(cgroup, [] {
        constexpr std::size_t size = 64U << 20U;
        auto* block = static_cast<char*>(
            ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
        for (std::size_t at = 0; at < size; at += 4096) block[at] = 1;
        return 0;
    });
    EXPECT_EQ(WTERMSIG(process.wait()), SIGKILL);
    EXPECT_TRUE(cgroup.oom_killed());
    cgroup.remove();
}

TEST_F(CgroupLive, KeepsAnEnginesParent) {
    spec_.linux_->cgroups_path = "/" + top_ + "/c";
    const auto cgroup = make();
    for (const auto& path : cgroup.paths()) ASSERT_EQ(::mkdir((above(path) + "/other").c_str(), 0755), 0);
    cgroup.remove();
    for (const auto& path : cgroup.paths()) {
        EXPECT_FALSE(std::filesystem::exists(path)) << path;
        EXPECT_EQ(::rmdir((above(path) + "/other").c_str()), 0) << path;
    }
}

// The part of CgroupViews.GiveAnOrdinaryUser… that runs as that user, in a process of its own.
TEST(CgroupOfAUser, UsesWhatHeWasGiven) {
    const char* delegated = std::getenv("LOCALD_TEST_DELEGATED");
    if (delegated == nullptr) return;
    oci::Spec spec;
    spec.linux_.emplace();
    spec.linux_->resources.emplace();
    spec.linux_->resources->devices = {{false, "a", {}, {}, "rwm"}};
    spec.linux_->cgroups_path = "/locald/user-4242/web/c";
    const auto planned = Cgroup::plan(spec, "web");
    if (std::string(delegated).empty()) {
        EXPECT_THAT(planned, IsEmpty());
        const auto none = create(spec, planned);
        ASSERT_EQ(none.warnings().size(), 1U);
        EXPECT_THAT(none.warnings().front(), HasSubstr("this user may not make cgroups in"));
        none.kill_all();
        none.remove();
        spec.linux_->resources->pids_limit = 5;
        std::string line;
        try {
            create(spec, Cgroup::plan(spec, "web"));
        } catch (const Error& e) {
            line = e.what();
        }
        EXPECT_THAT(line, HasSubstr("linux.resources.pids.limit: cannot write 5 to pids.max"));
        EXPECT_THAT(line, HasSubstr("Delegate=yes"));
        return;
    }
    ASSERT_THAT(planned, ::testing::ElementsAre(std::string(delegated) + "/locald-web/c"));
    const auto cgroup = create(spec, planned);
    Process process(cgroup, sleep_for_ever);
    EXPECT_THAT(cgroup.processes(), ::testing::ElementsAre(process.pid()));
    cgroup.kill_all();
    process.wait();
    cgroup.remove();
    EXPECT_FALSE(std::filesystem::exists(std::string(delegated) + "/locald-web"));
}

/// Runs CgroupOfAUser as uid 4242, inside `cgroup` when it is not empty.
int run_as_user(const std::string& program, const std::string& cgroup, const std::string& delegated) {
    constexpr uid_t user = 4242;
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (!cgroup.empty()) std::ofstream(cgroup + "/cgroup.procs") << ::getpid() << std::flush;
        if (::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0) ::_exit(126);
        ::setenv("LOCALD_TEST_DELEGATED", delegated.c_str(), 1);
        ::unsetenv("GTEST_OUTPUT");
        ::execl(program.c_str(), program.c_str(), "--gtest_filter=CgroupOfAUser.*", "--gtest_brief=1", nullptr);
        ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(CgroupViews, GiveAnOrdinaryUserHisDelegatedSubtreeOrAWarning) {
    LOCALD_REQUIRE(::geteuid() == 0 && cgroup_host().v2() != nullptr, "root and cgroup v2");
    const testing::TempDir dir;  // he may not enter the build directory
    ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
    const std::string program = dir / "tests";
    std::filesystem::copy_file("/proc/self/exe", program);
    EXPECT_EQ(run_as_user(program, "", ""), 0);

    const std::string top = cgroup_host().v2()->mount_point + "/shim-test-user-" + std::to_string(::getpid());
    ASSERT_EQ(::mkdir(top.c_str(), 0755), 0);
    ASSERT_EQ(::mkdir((top + "/me").c_str(), 0755), 0);
    for (const char* file : {"", "/cgroup.procs", "/cgroup.subtree_control", "/me", "/me/cgroup.procs"}) {
        EXPECT_EQ(::chown((top + file).c_str(), 4242, 4242), 0) << file;
    }
    EXPECT_EQ(run_as_user(program, top + "/me", top), 0);
    EXPECT_EQ(::rmdir((top + "/me").c_str()), 0);
    EXPECT_EQ(::rmdir(top.c_str()), 0);
}

/// Runs all of the above again in a view of the host with another layout.
int run_in_view(const char* view) {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::setenv("GTEST_OUTPUT", "", 1);
        ::execl(view, view, self.c_str(), "--gtest_filter=CgroupLive*", "--gtest_brief=1", nullptr);
        ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(CgroupViews, HoldTheSameUnderPureV2) {
    LOCALD_REQUIRE(::geteuid() == 0 && std::filesystem::exists("bench/v2ns"),
                   "root, and bench/ in the working directory");
    EXPECT_EQ(run_in_view("bench/v2ns"), 0);
}

TEST(CgroupViews, HoldTheSameUnderV1) {
    LOCALD_REQUIRE(::geteuid() == 0 && std::filesystem::exists("bench/v1ns"),
                   "root, and bench/ in the working directory");
    LOCALD_REQUIRE(cgroup_host().v1("freezer") != nullptr, "v1 controllers");
    EXPECT_EQ(run_in_view("bench/v1ns"), 0);
}

}  // namespace
}  // namespace locald::shim
