// pause, resume, ps, update and events on a container that runs.

#include <gmock/gmock.h>

#include "shim/cgroup/layout.hpp"
#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace locald::testing {
namespace {

using shim::cgroup_host;
using ::testing::HasSubstr;

/// CgroupLive…: runs again in the other views of this host's cgroups.
class CgroupLiveVerbs : public ShimTest {
protected:
    void SetUp() override { LOCALD_REQUIRE(::geteuid() == 0 && have_busybox(), "root and busybox"); }
    void TearDown() override {
        call({"delete", "--force", id_});
        EXPECT_EQ(leftovers_soon(), "");
    }

    void start(const Json& json) {
        write(json);
        Program program(command({"run", "-d", "--bundle", dir_ / "bundle", id_}), dir_ / "container");
        ASSERT_EQ(program.wait(), 0) << program.err();
    }
    std::string status() const { return Json::parse(call({"state", id_}).out).at("status").get<std::string>(); }
    std::vector<std::string> cgroups() const {
        std::ifstream file(dir_ / "state/" + id_ + "/state.json");
        return Json::parse(file).at("cgroups").get<std::vector<std::string>>();
    }
    /// The text of a file in the container's cgroup of a v1 controller; "" when it has none.
    std::string in_v1(const char* controller, const char* file) const {
        for (const auto& path : cgroups()) {
            const auto* mount = cgroup_host().of(path);
            if (mount == nullptr || mount->v2 || !mount->has(controller)) continue;
            std::ifstream stream(path + "/" + file);
            std::string line;
            std::getline(stream, line);
            return line;
        }
        return {};
    }
};

TEST_F(CgroupLiveVerbs, PauseStopsTheProgramUntilResume) {
    start(config("i=0; : marker-" + id_ + "; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.01; done"));
    const auto count = [&] {
        std::ifstream file(rootfs("/tmp/count"));
        std::string line;
        std::getline(file, line);
        return line;
    };
    const auto moves = [&] {
        const std::string before = count();
        for (int i = 0; i < 100; ++i) {
            if (count() != before) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return false;
    };
    ASSERT_TRUE(moves());
    EXPECT_THAT(call({"resume", id_}).err, HasSubstr("container not paused"));
    ASSERT_EQ(call({"pause", id_}).code, 0);
    EXPECT_EQ(status(), "paused");
    count();
    EXPECT_FALSE(moves());
    EXPECT_EQ(call({"pause", id_}).code, 1);
    EXPECT_THAT(call({"list"}).out, HasSubstr("paused"));
    ASSERT_EQ(call({"resume", id_}).code, 0);
    EXPECT_EQ(status(), "running");
    EXPECT_TRUE(moves());
    ASSERT_EQ(call({"pause", id_}).code, 0);
    EXPECT_EQ(call({"delete", "--force", id_}).code, 0);
}

TEST_F(CgroupLiveVerbs, KillEndsAPausedContainer) {
    start(config(stay()));
    ASSERT_EQ(call({"pause", id_}).code, 0);
    ASSERT_EQ(call({"kill", id_, "KILL"}).code, 0);
    for (int i = 0; i < 200 && status() != "stopped"; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(status(), "stopped");
}

TEST_F(CgroupLiveVerbs, PauseNeedsAContainerThatRuns) {
    start(config("true"));
    for (int i = 0; i < 500 && status() != "stopped"; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_THAT(call({"pause", id_}).err, HasSubstr("container not running"));
    EXPECT_THAT(call({"events", "--stats", id_}).err, HasSubstr("container with id " + id_ + " is not running"));
    EXPECT_EQ(call({"ps", "-f", "json", id_}).out, "[]\n");
    EXPECT_THAT(call({"pause", "no-such"}).err, HasSubstr("container does not exist"));
}

TEST_F(CgroupLiveVerbs, PsShowsTheProcessesOfTheContainerAlone) {
    start(config("sleep 1000 & " + stay()));
    for (int i = 0; i < 500 && Json::parse(call({"ps", "--format", "json", id_}).out).size() < 2; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const auto pids = Json::parse(call({"ps", "--format", "json", id_}).out);
    const int first = Json::parse(call({"state", id_}).out).at("pid").get<int>();
    EXPECT_THAT(pids, ::testing::Contains(first));
    const std::string table = call({"ps", id_}).out;
    EXPECT_THAT(table, HasSubstr("PID"));
    EXPECT_THAT(table, HasSubstr("sleep 1000"));
    EXPECT_THAT(table, ::testing::Not(HasSubstr(" ps ")));
    EXPECT_THAT(call({"ps", id_, "-o", "pid,comm"}).out, HasSubstr("PID COMMAND"));
    EXPECT_THAT(call({"ps", id_, "-o", "comm"}).err, HasSubstr("couldn't find PID field in ps output"));
    EXPECT_THAT(call({"ps", "-f", "xml", id_}).err, HasSubstr("invalid format option"));
}

TEST_F(CgroupLiveVerbs, UpdateChangesLimitsByOptionsAndByFile) {
    auto json = config(stay());
    if (cgroup_host().v1("memory") != nullptr) json["linux"]["resources"]["memory"]["limit"] = 64 << 20;
    start(json);
    if (cgroup_host().v1("memory") == nullptr) {
        std::ofstream(dir_ / "resources") << R"({"unified":{"cgroup.max.depth":"4"}})";
        EXPECT_EQ(call({"update", "--memory", "1m", "-r", dir_ / "resources", id_}).err, "");
        std::ifstream file(cgroups().front() + "/cgroup.max.depth");
        std::string line;
        std::getline(file, line);
        EXPECT_EQ(line, "4");
        EXPECT_THAT(call({"update", "--memory", "32m", id_}).err, HasSubstr("linux.resources.memory.limit"));
        return;
    }
    EXPECT_EQ(call({"update", "--memory", "96m", "--cpu-share", "512", "--pids-limit", "40", id_}).err, "");
    EXPECT_EQ(in_v1("memory", "memory.limit_in_bytes"), std::to_string(96 << 20));
    EXPECT_EQ(in_v1("cpu", "cpu.shares"), "512");
    EXPECT_EQ(in_v1("pids", "pids.max"), "40");
    std::ofstream(dir_ / "resources") << R"({"pids":{"limit":50},"cpu":{"quota":20000,"period":50000}})";
    EXPECT_EQ(call({"update", "--pids-limit", "7", "--resources", dir_ / "resources", id_}).err, "");
    EXPECT_EQ(in_v1("pids", "pids.max"), "50");
    EXPECT_EQ(in_v1("cpu", "cpu.cfs_quota_us"), "20000");
    EXPECT_EQ(in_v1("memory", "memory.limit_in_bytes"), std::to_string(96 << 20));
    const Result refused = call({"update", "--cpuset-cpus", "4000", id_});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("linux.resources.cpu.cpus"));
}

TEST_F(CgroupLiveVerbs, AHierarchyJoinedByUpdateGoesWithAContainerInTheForeground) {
    if (cgroup_host().v1("pids") == nullptr) return;
    write(config(stay()));
    Program program(command({"run", "--bundle", dir_ / "bundle", id_}), dir_ / "container");
    ASSERT_TRUE(program.wait_for_output("up"));
    ASSERT_EQ(call({"update", "--pids-limit", "60", id_}).err, "");
    EXPECT_EQ(in_v1("pids", "pids.max"), "60");
    const auto paths = cgroups();
    EXPECT_EQ(call({"kill", id_, "KILL"}).code, 0);
    program.wait();
    for (const auto& path : paths) EXPECT_FALSE(std::filesystem::exists(path)) << path;
}

TEST_F(CgroupLiveVerbs, UpdateSaysWhatResctrlLacks) {
    if (std::filesystem::exists("/sys/fs/resctrl/info/L3")) return;
    start(config(stay()));
    EXPECT_THAT(call({"update", "--l3-cache-schema", "L3:0=f", id_}).err,
                HasSubstr("Intel RDT/CAT: l3 cache schema is not enabled"));
    EXPECT_THAT(call({"update", "--mem-bw-schema", "MB:0=20", id_}).err,
                HasSubstr("Intel RDT/MBA: memory bandwidth schema is not enabled"));
}

TEST_F(CgroupLiveVerbs, EventsPrintsStatisticsUntilTheEnd) {
    start(config(stay()));
    const auto once = Json::parse(call({"events", "--stats", id_}).out);
    EXPECT_EQ(once.at("type"), "stats");
    EXPECT_EQ(once.at("id"), id_);
    EXPECT_GE(once.at("data").at("pids").at("current").get<int>(), 1);
    for (const char* member : {"cpu", "cpuset", "memory", "blkio", "hugetlb", "intel_rdt", "network_interfaces"}) {
        EXPECT_TRUE(once.at("data").contains(member)) << member;
    }
    Program events(command({"events", "--interval", "50ms", id_}), dir_ / "events");
    ASSERT_TRUE(events.wait_for_output("\n{"));
    EXPECT_EQ(call({"kill", id_, "KILL"}).code, 0);
    EXPECT_EQ(events.wait(), 0);
    EXPECT_THAT(call({"events", "--interval", "0s", id_}).err, HasSubstr("duration interval must be greater than 0"));
}

TEST_F(CgroupLiveVerbs, EventsTellsOfAKillForMemory) {
    if (cgroup_host().v1("memory") == nullptr) return;  // v2 without the memory controller
    auto json = config("echo up; : marker-" + id_ +
                       "; while ! [ -e /tmp/go ]; do sleep 0.05; done; "
                       "x=$(busybox dd if=/dev/zero bs=1M count=64 | busybox tr '\\0' x); sleep 1000");
    json["linux"]["resources"]["memory"]["limit"] = 16 << 20;
    json["linux"]["resources"]["memory"]["swap"] = 16 << 20;
    start(json);
    Program events(command({"events", "--interval", "100ms", id_}), dir_ / "events");
    ASSERT_TRUE(events.wait_for_output("stats"));
    std::ofstream(rootfs("/tmp/go")) << "x";
    EXPECT_TRUE(events.wait_for_output(R"({"type":"oom","id":")" + id_ + R"("})")) << events.out();
    call({"kill", id_, "KILL"});
    EXPECT_EQ(events.wait(), 0);
}

}  // namespace
}  // namespace locald::testing
