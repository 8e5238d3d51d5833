#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "shim/cgroup/dir.hpp"
#include "tests/support/cgroup_fixture.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::shim {
namespace {

using testing::above;
using testing::CgroupProcess;
using ::testing::HasSubstr;
using testing::read_line;

class CgroupLiveUpdate : public testing::CgroupTest {
protected:
    void end(const Cgroup& cgroup, CgroupProcess& process) {
        cgroup.kill_all();
        process.wait();
        cgroup.remove();
    }
};

TEST_F(CgroupLiveUpdate, ChangesWhatItNamesAndKeepsTheRest) {
    if (cgroup_host().v1("memory") == nullptr || cgroup_host().v1("pids") == nullptr) return;  // the next test's case
    resources().memory.emplace();
    resources().memory->limit = 64 << 20;
    resources().pids_limit = 20;
    resources().cpu.emplace();
    resources().cpu->quota = 50000;
    resources().cpu->period = 100000;
    auto cgroup = make();
    CgroupProcess process(cgroup, testing::sleep_for_ever);
    oci::Resources change;
    change.memory.emplace();
    change.memory->limit = 96 << 20;
    change.cpu.emplace();
    change.cpu->period = 200000;
    cgroup.update(change);
    EXPECT_EQ(read_line(above(place("memory")) + "/memory.limit_in_bytes"), std::to_string(96 << 20));
    EXPECT_EQ(read_line(above(place("pids")) + "/pids.max"), "20");
    EXPECT_EQ(read_line(above(place("cpu")) + "/cpu.cfs_quota_us"), "50000");
    EXPECT_EQ(read_line(above(place("cpu")) + "/cpu.cfs_period_us"), "200000");
    end(cgroup, process);
}

TEST_F(CgroupLiveUpdate, ChangesTheUnifiedTree) {
    const auto* v2 = cgroup_host().v2();
    if (v2 == nullptr) return;
    auto cgroup = make();
    CgroupProcess process(cgroup, testing::sleep_for_ever);
    oci::Resources change;
    change.unified["cgroup.max.depth"] = "5";
    change.hugepage_limits = {{"2MB", 4U << 20U}};
    LOCALD_REQUIRE(CgroupDir::root_of(*v2).read("cgroup.controllers").value_or("").find("hugetlb") != std::string::npos,
                   "the hugetlb controller on cgroup v2");
    cgroup.update(change);
    const std::string dir = above(v2->mount_point + spec_.linux_->cgroups_path);
    EXPECT_EQ(read_line(dir + "/cgroup.max.depth"), "5");
    EXPECT_EQ(read_line(dir + "/hugetlb.2MB.max"), std::to_string(4U << 20U));
    end(cgroup, process);
}

TEST_F(CgroupLiveUpdate, JoinsAHierarchyThatNoLimitNeededBefore) {
    if (cgroup_host().v1("pids") == nullptr || cgroup_host().v2() == nullptr) return;
    auto cgroup = make();
    ASSERT_FALSE(std::filesystem::exists(place("pids")));
    CgroupProcess process(cgroup, testing::sleep_for_ever);
    oci::Resources change;
    change.pids_limit = 12;
    cgroup.update(change);
    EXPECT_THAT(cgroup.paths(), ::testing::Contains(place("pids")));
    EXPECT_EQ(read_line(above(place("pids")) + "/pids.max"), "12");
    EXPECT_EQ(read_line(place("pids") + "/cgroup.procs"), std::to_string(process.pid()));
    end(cgroup, process);
    EXPECT_FALSE(std::filesystem::exists(above(place("pids"))));
}

TEST_F(CgroupLiveUpdate, RefusesALimitBelowTheUsageWhenAskedToLook) {
    if (cgroup_host().v1("memory") == nullptr) return;
    resources().memory.emplace();
    resources().memory->limit = 64 << 20;
    auto cgroup = make();
    CgroupProcess process(cgroup, [] {
        std::string block(8U << 20U, 'x');
        return block.empty() ? 1 : testing::sleep_for_ever();
    });
    const auto usage = [&] { return std::stoull(read_line(above(place("memory")) + "/memory.usage_in_bytes")); };
    for (int i = 0; i < 1000 && usage() < (8U << 20U); ++i) ::usleep(1000);
    oci::Resources change;
    change.memory.emplace();
    change.memory->limit = 4 << 20;
    change.memory->check_before_update = true;
    std::string line;
    try {
        cgroup.update(change);
    } catch (const Error& e) {
        line = e.what();
    }
    EXPECT_THAT(line, HasSubstr("is below the current usage"));
    EXPECT_EQ(read_line(above(place("memory")) + "/memory.limit_in_bytes"), std::to_string(64 << 20));
    end(cgroup, process);
}

TEST_F(CgroupLiveUpdate, GrowsAndShrinksACpusetWithAnInnerDirectory) {
    if (cgroup_host().v1("cpuset") == nullptr) return;
    resources().cpu.emplace();
    resources().cpu->cpus = "0";
    auto cgroup = make();
    CgroupProcess process(cgroup, testing::sleep_for_ever);
    oci::Resources change;
    change.cpu.emplace();
    for (const char* cpus : {"0-1", "1"}) {
        change.cpu->cpus = cpus;
        cgroup.update(change);
        EXPECT_EQ(read_line(above(place("cpuset")) + "/cpuset.cpus"), cpus);
        EXPECT_EQ(read_line(place("cpuset") + "/cpuset.cpus"), cpus);
    }
    end(cgroup, process);
}

TEST_F(CgroupLiveUpdate, ReplacesTheDeviceRules) {
    const auto rule = [](bool allow, std::int64_t minor) { return oci::DeviceRule{allow, "c", 99, minor, "rwm"}; };
    resources().devices = {{false, "a", {}, {}, "rwm"}, rule(true, 1)};
    const testing::TempDir dir;
    const std::string one = dir / "one", two = dir / "two";
    ASSERT_EQ(::mknod(one.c_str(), S_IFCHR | 0600, makedev(99, 1)), 0);
    ASSERT_EQ(::mknod(two.c_str(), S_IFCHR | 0600, makedev(99, 2)), 0);
    auto cgroup = make();
    // Numbers without a driver: ENXIO where the cgroup lets an open through, EPERM where it does not.
    const auto look = [&] {
        CgroupProcess process(cgroup, [&] {
            int seen = 0;
            if (::open(one.c_str(), O_RDONLY) < 0 && errno == ENXIO) seen |= 1;
            if (::open(two.c_str(), O_RDONLY) < 0 && errno == ENXIO) seen |= 2;
            return seen;
        });
        return WEXITSTATUS(process.wait());
    };
    EXPECT_EQ(look(), 1);
    oci::Resources change;
    change.devices = {{false, "a", {}, {}, "rwm"}, rule(true, 2)};
    cgroup.update(change);
    EXPECT_EQ(look(), 2);
    cgroup.update(change);
    EXPECT_EQ(look(), 2);
    EXPECT_THAT(cgroup.warnings(), ::testing::IsEmpty());
    cgroup.remove();
}

}  // namespace
}  // namespace locald::shim
