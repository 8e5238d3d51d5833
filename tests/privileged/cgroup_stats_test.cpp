#include <gmock/gmock.h>

#include "shim/cgroup/stats.hpp"
#include "tests/support/cgroup_fixture.hpp"

namespace locald::shim {
namespace {

using testing::CgroupProcess;
using CgroupLiveStats = testing::CgroupTest;

TEST_F(CgroupLiveStats, CountTheWorkOfTheProcessesInside) {
    const bool v1_memory = cgroup_host().v1("memory") != nullptr;
    if (v1_memory) {
        resources().memory.emplace();
        resources().memory->limit = 64 << 20;
        resources().pids_limit = 30;
        resources().cpu.emplace();
        resources().cpu->quota = 10000;
    }
    if (cgroup_host().v2() != nullptr) resources().hugepage_limits = {{"2MB", 0}};
    const auto cgroup = make();
    CgroupProcess process(cgroup, [] {
        for (;;) {
        }
        return 0;
    });
    CgroupStats stats;
    for (int i = 0; i < 10000; ++i) {
        stats = read_stats(cgroup.paths());
        if (stats.cpu.total > 10'000'000 && (!v1_memory || stats.cpu.throttled_time > 0)) break;
        ::usleep(1000);
    }
    EXPECT_GT(stats.cpu.total, 10'000'000U);
    EXPECT_EQ(stats.pids_current, 1U);
    if (v1_memory) {
        EXPECT_EQ(stats.memory.usage.limit, 64U << 20U);
        EXPECT_GT(stats.memory.usage.usage, 0U);
        EXPECT_GE(stats.memory.usage.max, stats.memory.usage.usage);
        EXPECT_THAT(stats.memory.raw, ::testing::Contains(::testing::Key("hierarchical_memory_limit")));
        EXPECT_EQ(stats.pids_limit, 30U);
        EXPECT_GT(stats.cpu.periods, 0U);
        EXPECT_GT(stats.cpu.throttled_time, 0U);
        EXPECT_FALSE(stats.cpu.percpu.empty());
    }
    if (cgroup_host().v2() != nullptr) {
        EXPECT_TRUE(stats.cpu.pressure);
        EXPECT_THAT(stats.hugetlb, ::testing::Contains(::testing::Key("2MB")));
    }
    cgroup.kill_all();
    process.wait();
    cgroup.remove();
}

}  // namespace
}  // namespace locald::shim
