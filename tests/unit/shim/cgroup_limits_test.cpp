#include <gmock/gmock.h>

#include "core/base/error.hpp"
#include "shim/cgroup/limits.hpp"

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// `file=value` of each write, in order.
std::vector<std::string> writes(const std::vector<CgroupLimit>& limits) {
    std::vector<std::string> list;
    for (const auto& limit : limits) list.push_back(limit.file + "=" + limit.value);
    return list;
}
std::vector<std::string> v2(const oci::Resources& resources) {
    std::vector<std::string> warnings;
    return writes(v2_limits(resources, warnings));
}
std::vector<std::string> v1(const oci::Resources& resources) {
    std::vector<std::string> warnings;
    return writes(v1_limits(resources, warnings));
}
std::string message(const oci::Resources& resources) {
    try {
        v2(resources);
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

oci::Resources memory(std::optional<std::int64_t> limit, std::optional<std::int64_t> swap = {}) {
    oci::Resources resources;
    resources.memory.emplace();
    resources.memory->limit = limit;
    resources.memory->swap = swap;
    return resources;
}

TEST(CpuWeight, HasTheCheckPointsOfTheCommonFormula) {
    EXPECT_EQ(weight_of_shares(1), 1U);
    EXPECT_EQ(weight_of_shares(2), 1U);
    EXPECT_EQ(weight_of_shares(3), 2U);
    EXPECT_EQ(weight_of_shares(1000), 99U);
    EXPECT_EQ(weight_of_shares(1024), 100U);
    EXPECT_EQ(weight_of_shares(1025), 101U);
    EXPECT_EQ(weight_of_shares(2048), 174U);
    EXPECT_EQ(weight_of_shares(4096), 303U);
    EXPECT_EQ(weight_of_shares(262143), 10000U);
    EXPECT_EQ(weight_of_shares(262144), 10000U);
    EXPECT_EQ(weight_of_shares(~std::uint64_t{0}), 10000U);
}

TEST(IoWeight, IsLinearBetweenItsEnds) {
    EXPECT_EQ(io_weight_of(10), 1U);
    EXPECT_EQ(io_weight_of(1000), 10000U);
    EXPECT_EQ(io_weight_of(500), 4950U);
}

TEST(SwapMax, IsWhatIsLeftAboveTheMemoryLimit) {
    EXPECT_EQ(swap_max_of(300, 100), "200");
    EXPECT_EQ(swap_max_of(100, 100), "0");
    EXPECT_EQ(swap_max_of(-1, 100), "max");
    EXPECT_EQ(swap_max_of(0, -1), "max");
    EXPECT_EQ(swap_max_of(300, -1), "300");
    EXPECT_EQ(swap_max_of(0, 100), "");
}

TEST(SwapMax, RefusesWhatCannotBeMeant) {
    EXPECT_THAT(message(memory({}, 100)), HasSubstr("unable to set swap limit without memory limit"));
    EXPECT_THAT(message(memory(100, 99)), HasSubstr("memory+swap limit should be >= memory limit"));
    EXPECT_THAT(message(memory(-2)), HasSubstr("linux.resources.memory.limit: expected -1 or more"));
}

TEST(MemoryLimit, OfZeroIsUnsetAndOfMinusOneUnlimited) {
    EXPECT_THAT(v2(memory(0)), IsEmpty());
    EXPECT_THAT(v2(memory(-1)), ElementsAre("memory.swap.max=max", "memory.max=max"));
    EXPECT_THAT(v2(memory(4096, 4096)), ElementsAre("memory.swap.max=0", "memory.max=4096"));
    EXPECT_THAT(v1(memory(4096, 8192)), ElementsAre("memory.limit_in_bytes=4096", "memory.memsw.limit_in_bytes=8192"));
    EXPECT_THAT(v1(memory(-1)), ElementsAre("memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"));
}

TEST(MemoryTunings, ThatV2DoesNotHaveBecomeWarnings) {
    oci::Resources resources = memory(4096);
    resources.memory->swappiness = 10;
    resources.memory->disable_oom_killer = true;
    std::vector<std::string> warnings;
    v2_limits(resources, warnings);
    EXPECT_EQ(warnings.size(), 2U);
    EXPECT_THAT(v1(resources),
                ElementsAre("memory.limit_in_bytes=4096", "memory.swappiness=10", "memory.oom_control=1"));
}

TEST(CpuLimits, AreOneLineOnV2) {
    oci::Resources resources;
    resources.cpu.emplace();
    resources.cpu->quota = 50000;
    EXPECT_THAT(v2(resources), ElementsAre("cpu.max=50000 100000"));
    resources.cpu->period = 20000;
    EXPECT_THAT(v2(resources), ElementsAre("cpu.max=50000 20000"));
    EXPECT_THAT(v1(resources), ElementsAre("cpu.cfs_period_us=20000", "cpu.cfs_quota_us=50000"));
    resources.cpu->quota = -1;
    EXPECT_THAT(v2(resources), ElementsAre("cpu.max=max 20000"));
    EXPECT_THAT(v1(resources), ElementsAre("cpu.cfs_period_us=20000", "cpu.cfs_quota_us=-1"));
}

TEST(CpuLimits, TryBurstBeforeAndAgainAfterTheQuota) {
    oci::Resources resources;
    resources.cpu.emplace();
    resources.cpu->quota = 50000;
    resources.cpu->burst = 1000;
    std::vector<std::string> warnings;
    const auto limits = v2_limits(resources, warnings);
    EXPECT_THAT(writes(limits), ElementsAre("cpu.max.burst=1000", "cpu.max=50000 100000"));
    EXPECT_TRUE(limits[0].again_if_refused);
}

TEST(CpuLimits, SendSharesIdleAndSetsToTheirFiles) {
    oci::Resources resources;
    resources.cpu.emplace();
    resources.cpu->shares = 1024;
    resources.cpu->cpus = "0-1";
    resources.cpu->mems = "0";
    EXPECT_THAT(v2(resources), ElementsAre("cpu.weight=100", "cpuset.cpus=0-1", "cpuset.mems=0"));
    EXPECT_THAT(v1(resources), ElementsAre("cpu.shares=1024", "cpuset.cpus=0-1", "cpuset.mems=0"));
}

TEST(PidsLimit, TakesMinusOneAsUnlimitedAndZeroAsNoOtherProcess) {
    oci::Resources resources;
    resources.pids_limit = -1;
    EXPECT_THAT(v2(resources), ElementsAre("pids.max=max"));
    resources.pids_limit = 0;
    EXPECT_THAT(v2(resources), ElementsAre("pids.max=1"));
    resources.pids_limit = 32;
    EXPECT_THAT(v1(resources), ElementsAre("pids.max=32"));
    resources.pids_limit = -5;
    EXPECT_THAT(message(resources), HasSubstr("pids.limit"));
}

TEST(BlockIoLimits, HaveTheirFormInBothGenerations) {
    oci::Resources resources;
    resources.block_io.emplace();
    resources.block_io->weight = 500;
    resources.block_io->throttle_read_bps = {{8, 0, 1000}};
    resources.block_io->throttle_write_iops = {{8, 16, 0}};
    std::vector<std::string> warnings;
    const auto limits = v2_limits(resources, warnings);
    EXPECT_THAT(writes(limits), ElementsAre("io.bfq.weight=500", "io.max=8:0 rbps=1000", "io.max=8:16 wiops=max"));
    EXPECT_EQ(limits[0].other_file + "=" + limits[0].other_value, "io.weight=4950");
    const auto old = v1_limits(resources, warnings);
    EXPECT_THAT(writes(old), ElementsAre("blkio.bfq.weight=500", "blkio.throttle.read_bps_device=8:0 1000",
                                         "blkio.throttle.write_iops_device=8:16 0"));
    for (const auto& limit : old) EXPECT_TRUE(limit.at_processes) << limit.file;
    resources.block_io->weight = 9;
    EXPECT_THAT(message(resources), HasSubstr("blockIO.weight: expected 10..1000, got 9"));
}

TEST(HugepageLimits, CoverReservationsWhereTheKernelCountsThem) {
    oci::Resources resources;
    resources.hugepage_limits = {{"2MB", 4096}};
    std::vector<std::string> warnings;
    const auto limits = v2_limits(resources, warnings);
    EXPECT_THAT(writes(limits), ElementsAre("hugetlb.2MB.max=4096", "hugetlb.2MB.rsvd.max=4096"));
    EXPECT_FALSE(limits[0].skip_if_missing);
    EXPECT_TRUE(limits[1].skip_if_missing);
    EXPECT_THAT(v1(resources), ElementsAre("hugetlb.2MB.limit_in_bytes=4096", "hugetlb.2MB.rsvd.limit_in_bytes=4096"));
    for (const char* bad : {"2M", "../2MB", "MB", "02MB", "2 MB", ""}) {
        resources.hugepage_limits = {{bad, 1}};
        EXPECT_THAT(message(resources), HasSubstr("pageSize")) << bad;
    }
}

TEST(RdmaAndNetworkLimits, AreLinesOfWords) {
    oci::Resources resources;
    resources.rdma["mlx5_0"] = {3, 4};
    resources.network.emplace();
    resources.network->class_id = 0x100001;
    resources.network->priorities = {{"eth0", 5}};
    EXPECT_THAT(v1(resources), ElementsAre("net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5",
                                           "rdma.max=mlx5_0 hca_handle=3 hca_object=4"));
    resources.network->priorities = {{"eth0 9\nlo", 5}};
    EXPECT_THAT(message(resources), HasSubstr("network.priorities"));
}

TEST(Unified, IsWrittenLineByLineToItsFile) {
    oci::Resources resources;
    resources.unified["io.max"] = "8:0 rbps=1\n8:16 rbps=2\n";
    resources.unified["cgroup.max.depth"] = "3";
    std::vector<std::string> warnings;
    const auto limits = v2_limits(resources, warnings);
    EXPECT_THAT(writes(limits), ElementsAre("cgroup.max.depth=3", "io.max=8:0 rbps=1", "io.max=8:16 rbps=2"));
    EXPECT_EQ(limits[0].controller, "");
    EXPECT_EQ(limits[1].controller, "io");
}

TEST(Unified, RefusesAKeyThatIsAPath) {
    oci::Resources resources;
    resources.unified["../memory.max"] = "1";
    EXPECT_THAT(message(resources), HasSubstr("unified resource \"../memory.max\" must be a file name (no slashes)"));
}

TEST(CgroupLimits, WriteAWeightWhileTheGroupIsNotIdle) {
    const auto files = [](std::int64_t idle) {
        oci::Resources resources;
        resources.cpu.emplace();
        resources.cpu->shares = 512;
        resources.cpu->idle = idle;
        std::vector<std::string> warnings, names;
        for (const auto& limit : v2_limits(resources, warnings)) names.push_back(limit.file);
        return names;
    };
    EXPECT_EQ(files(1), (std::vector<std::string>{"cpu.weight", "cpu.idle"}));
    EXPECT_EQ(files(0), (std::vector<std::string>{"cpu.idle", "cpu.weight"}));
}

}  // namespace
}  // namespace locald::shim
