#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "shim/cgroup/stats.hpp"

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(CgroupNumberList, ReadsRangesAndSingleNumbers) {
    EXPECT_THAT(parse_number_list("0-2,5\n"), ElementsAre(0, 1, 2, 5));
    EXPECT_THAT(parse_number_list("\n"), IsEmpty());
    EXPECT_THAT(parse_number_list("3-1,x,99999999"), IsEmpty());
}

TEST(CgroupPressure, ReadsBothLines) {
    const auto pressure = parse_pressure(
        "some avg10=1.50 avg60=0.00 avg300=0.25 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
    ASSERT_TRUE(pressure);
    EXPECT_EQ(pressure->some.avg10, "1.50");
    EXPECT_EQ(pressure->some.avg300, "0.25");
    EXPECT_EQ(pressure->some.total, 12U);
    EXPECT_EQ(pressure->full.total, 7U);
    EXPECT_FALSE(parse_pressure(""));
}

TEST(CgroupInterfaces, LeavesTheLoopbackOut) {
    const auto list = parse_interfaces(
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n"
        "    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0 0 0\n"
        "  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n");
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0].name, "eth0");
    EXPECT_EQ(list[0].rx_bytes, 1000U);
    EXPECT_EQ(list[0].rx_dropped, 2U);
    EXPECT_EQ(list[0].tx_bytes, 2000U);
    EXPECT_EQ(list[0].tx_errors, 3U);
}

TEST(CgroupStatsJson, HasTheMembersThatReadersOfEventsExpect) {
    CgroupStats stats;
    stats.cpu.total = 5;
    stats.cpu.percpu = {2, 3};
    stats.memory.counted = true;
    stats.memory.usage = {~std::uint64_t{0}, 4096, 8192, 1};
    stats.memory.raw = {{"anon", 7}};
    stats.pids_current = 3;
    stats.blkio["ioServiceBytesRecursive"] = {{8, 0, "Read", 512}};
    stats.hugetlb["2MB"] = {0, 0, 0, 2};
    stats.io_pressure = parse_pressure("some avg10=1.50 avg60=0.00 avg300=0.00 total=9\n");
    const auto json = nlohmann::json::parse(to_json(stats));
    const auto expected = nlohmann::json::parse(R"({
      "cpu":{"usage":{"total":5,"percpu":[2,3],"kernel":0,"user":0},"throttling":{}},
      "cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,
                "memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},
      "memory":{"usage":{"limit":18446744073709551615,"usage":4096,"max":8192,"failcnt":1},
                "swap":{"limit":0,"failcnt":0},"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0},
                "raw":{"anon":7}},
      "pids":{"current":3},
      "blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":512}],
               "psi":{"some":{"avg10":1.5,"avg60":0.0,"avg300":0.0,"total":9},
                      "full":{"avg10":0,"avg60":0,"avg300":0,"total":0}}},
      "hugetlb":{"2MB":{"failcnt":2}},"intel_rdt":{},"network_interfaces":null})");
    EXPECT_EQ(json, expected) << json.dump(1);
}

TEST(CgroupStatsJson, LeavesOutMemoryThatNobodyCounts) {
    CgroupStats stats;
    EXPECT_FALSE(nlohmann::json::parse(to_json(stats)).contains("memory"));
    stats.memory.pressure = parse_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n");
    const auto json = nlohmann::json::parse(to_json(stats));
    EXPECT_FALSE(json["memory"].contains("usage"));
    EXPECT_EQ(json["memory"]["psi"]["some"]["total"], 9);
}

}  // namespace
}  // namespace locald::shim
