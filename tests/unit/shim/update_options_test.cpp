#include "shim/verbs/update_options.hpp"

#include <gmock/gmock.h>

#include "shim/options/duration.hpp"
#include "shim/process/process_table.hpp"

namespace locald::shim {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

UpdateOptions parse(const std::vector<std::string>& words) {
    Walker walker(words, 0, "update");
    return parse_update(walker);
}

std::string refusal(const std::vector<std::string>& words) {
    try {
        parse(words);
    } catch (const UsageError& e) {
        return e.what();
    }
    return "nothing was thrown";
}

TEST(UpdateOptions, SetOnlyWhatTheyName) {
    const auto update = parse({"--memory", "64m", "--cpu-quota=-1", "--pids-limit", "12", "web"});
    EXPECT_EQ(update.id, "web");
    EXPECT_EQ(update.resources.memory->limit, 64 << 20);
    EXPECT_FALSE(update.resources.memory->swap);
    EXPECT_EQ(update.resources.cpu->quota, -1);
    EXPECT_FALSE(update.resources.cpu->period);
    EXPECT_EQ(update.resources.pids_limit, 12);
    EXPECT_FALSE(update.resources.block_io);
}

TEST(UpdateOptions, TakeEveryOptionOfRunc) {
    const auto update = parse({"--blkio-weight",
                               "300",
                               "--cpu-period",
                               "1",
                               "--cpu-burst",
                               "2",
                               "--cpu-share",
                               "3",
                               "--cpu-rt-period",
                               "4",
                               "--cpu-rt-runtime",
                               "5",
                               "--cpu-idle",
                               "1",
                               "--cpuset-cpus",
                               "0",
                               "--cpuset-mems",
                               "0",
                               "--memory-reservation",
                               "1k",
                               "--memory-swap",
                               "-1",
                               "--l3-cache-schema",
                               "L3:0=f",
                               "--mem-bw-schema",
                               "MB:0=20",
                               "web"});
    EXPECT_EQ(update.resources.block_io->weight, 300);
    EXPECT_EQ(update.resources.cpu->burst, 2U);
    EXPECT_EQ(update.resources.cpu->idle, 1);
    EXPECT_EQ(update.resources.cpu->realtime_runtime, 5);
    EXPECT_EQ(update.resources.memory->reservation, 1024);
    EXPECT_EQ(update.resources.memory->swap, -1);
    EXPECT_EQ(update.l3_cache_schema, "L3:0=f");
}

TEST(UpdateOptions, TakeAnEmptyValueAsUnchanged) {
    EXPECT_FALSE(parse({"--memory", "", "web"}).resources.memory->limit);
}

TEST(UpdateOptions, WarnOfKernelMemory) {
    const auto update = parse({"--kernel-memory", "5", "web"});
    ASSERT_THAT(update.warnings, SizeIs(1));
    EXPECT_THAT(update.warnings[0], HasSubstr("--kernel-memory is ignored"));
}

TEST(UpdateOptions, NameTheOptionWhoseValueIsWrong) {
    EXPECT_THAT(refusal({"--cpu-period", "x", "web"}), HasSubstr("invalid value for cpu-period: \"x\""));
    EXPECT_THAT(refusal({"--memory", "5q", "web"}), HasSubstr("invalid value for memory"));
    EXPECT_THAT(refusal({"--cpu-quota", "1.5", "web"}), HasSubstr("invalid value for cpu-quota"));
    EXPECT_THAT(refusal({"--blkio-weight", "70000", "web"}), HasSubstr("invalid value for blkio-weight"));
    EXPECT_THAT(refusal({}), HasSubstr("\"update\" requires exactly 1 argument(s)"));
}

TEST(Sizes, AreBytesInPowersOf1024) {
    EXPECT_EQ(parse_size("1024"), 1024);
    EXPECT_EQ(parse_size("1.5k"), 1536);
    EXPECT_EQ(parse_size("2 MiB"), 2 << 20);
    EXPECT_EQ(parse_size("1GB"), 1 << 30);
    EXPECT_EQ(parse_size("7b"), 7);
    for (const char* bad : {"", "k", "-2", "1kk", "1e30", "nan", "99999999P"}) EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Durations, AreWrittenAsInGo) {
    using namespace std::chrono_literals;
    EXPECT_EQ(parse_duration("5s"), 5s);
    EXPECT_EQ(parse_duration("1m30s"), 90s);
    EXPECT_EQ(parse_duration("1.5h"), 90min);
    EXPECT_EQ(parse_duration("100ms"), 100ms);
    EXPECT_EQ(parse_duration("2us"), 2us);
    EXPECT_EQ(parse_duration("-1s"), -1s);
    EXPECT_EQ(parse_duration("0"), 0s);
    for (const char* bad : {"", "5", "s", "5x", "1s-", "1s5", "1e400h"}) EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(Duration, IsAFiniteNumber) {
    for (const char* bad : {"nans", "-nan(1)s", "infs", "infinityh", "1s-nanm"})
        EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
}

TEST(ProcessTable, KeepsTheHeadAndTheLinesOfThePids) {
    EXPECT_EQ(rows_of("UID  PID CMD\nroot  12 a 13\nroot 13 b\n\n", {13}), "UID  PID CMD\nroot 13 b\n");
    EXPECT_EQ(rows_of("PID\n7\n", {}), "PID\n");
    EXPECT_THAT([] { rows_of("USER CMD\nx y\n", {1}); },
                ::testing::ThrowsMessage<std::exception>(HasSubstr("couldn't find PID field in ps output")));
}

}  // namespace
}  // namespace locald::shim
