#include "shim/cgroup/intel_rdt.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/error.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A directory that looks like a mounted resctrl; new groups get no files by themselves, so they are put there first.
class Resctrl : public ::testing::Test {
protected:
    void group(const std::string& name, const std::string& schemata = "") {
        std::filesystem::create_directories(dir_ / (name + "/mon_groups/box"));
        for (const char* file : {"/tasks", "/schemata", "/mon_groups/box/tasks"}) std::ofstream(dir_ / (name + file));
        std::ofstream(dir_ / (name + "/schemata")) << schemata;
    }
    std::string text(const std::string& path) const {
        std::ifstream file(dir_ / path);
        std::stringstream all;
        all << file.rdbuf();
        return all.str();
    }
    void join(const oci::IntelRdt& rdt) const { join_resctrl(rdt, "box", 4711, dir_.path()); }
    std::string failure(const oci::IntelRdt& rdt) const {
        try {
            check_intel_rdt(rdt);
            join(rdt);
        } catch (const Error& e) {
            return e.what();
        }
        return "no error";
    }

    testing::TempDir dir_;
    oci::IntelRdt rdt_;
};

TEST_F(Resctrl, IsFoundInMountinfo) {
    EXPECT_EQ(find_resctrl("22 1 0:5 / /proc rw - proc proc rw\n40 1 0:9 / /sys/fs/resctrl rw shared:3 - resctrl "
                           "resctrl rw\n"),
              "/sys/fs/resctrl");
    try {
        find_resctrl("22 1 0:5 / /resctrl rw - proc resctrl rw\n");
        FAIL();
    } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("linux.intelRdt: no resctrl file system is mounted"));
    }
}

TEST_F(Resctrl, GroupIsNamedAfterTheContainerAndGetsItsSchemataInOrder) {
    group("box");
    rdt_.l3_cache_schema = "L3:0=ff\nMB:0=10";
    rdt_.mem_bw_schema = "MB:0=20";
    rdt_.schemata = {"L2:0=f", "L2:1=f\nL3:1=f"};
    join(rdt_);
    EXPECT_EQ(text("box/schemata"), "L3:0=ff\nMB:0=20\nL2:0=f\nL2:1=f\nL3:1=f\n");
    EXPECT_EQ(text("box/tasks"), "4711\n");
    EXPECT_THAT(plan_resctrl(rdt_, "box", "/r"), ElementsAre("/r/box"));
}

TEST_F(Resctrl, GroupOfAClassIsUsedAsItIs) {
    group("gold", "    L3:0=ff;1=0f\n    MB:0=100\n");
    rdt_.clos_id = "gold";
    join(rdt_);
    EXPECT_EQ(text("gold/tasks"), "4711\n");
    rdt_.l3_cache_schema = "L3:1=f;0=0ff";
    join(rdt_);
    rdt_.l3_cache_schema = "L3:1=7";
    EXPECT_THAT(failure(rdt_), HasSubstr("\"gold\" is there already and does not match \"L3:1=7\""));
    EXPECT_EQ(text("gold/schemata"), "    L3:0=ff;1=0f\n    MB:0=100\n");
    EXPECT_THAT(plan_resctrl(rdt_, "box", "/r"), IsEmpty());
}

TEST_F(Resctrl, GroupOfAClassThatIsMissingNeedsASchema) {
    rdt_.clos_id = "silver";
    EXPECT_THAT(failure(rdt_), HasSubstr("linux.intelRdt.closID: open silver: No such file or directory"));
    EXPECT_FALSE(std::filesystem::exists(dir_ / "silver"));
    rdt_.schemata = {"L3:0=f"};
    EXPECT_THAT(failure(rdt_), HasSubstr("schemata"));  // the kernel would have put the file there
    EXPECT_FALSE(std::filesystem::exists(dir_ / "silver")) << "an error leaves nothing";
}

TEST_F(Resctrl, RootClassIsASlash) {
    group(".");
    rdt_.clos_id = "/";
    rdt_.enable_monitoring = true;
    join(rdt_);
    EXPECT_EQ(text("tasks"), "4711\n");
    EXPECT_EQ(text("mon_groups/box/tasks"), "4711\n");
    EXPECT_THAT(plan_resctrl(rdt_, "box", "/r"), ElementsAre("/r/mon_groups/box"));
}

TEST_F(Resctrl, MonitoringGroupGoesBeforeItsClass) {
    group("box");
    rdt_.enable_monitoring = true;
    join(rdt_);
    EXPECT_EQ(text("box/mon_groups/box/tasks"), "4711\n");
    const auto groups = plan_resctrl(rdt_, "box", dir_.path());
    EXPECT_THAT(groups, ElementsAre(dir_ / "box/mon_groups/box", dir_ / "box"));
    // rmdir of a real group takes its files along; here they go first.
    for (const char* name : {"box/mon_groups/box/tasks", "box/tasks", "box/schemata"}) {
        std::filesystem::remove(dir_ / name);
    }
    EXPECT_THROW(remove_resctrl({dir_ / "box"}), Error) << "mon_groups is still in it";
    remove_resctrl({groups[0], dir_ / "box/mon_groups", groups[1]});
    EXPECT_FALSE(std::filesystem::exists(dir_ / "box"));
    remove_resctrl(groups);
}

TEST_F(Resctrl, FieldsAreRefusedByName) {
    for (const char* name : {".", "..", "a/b", "../x", "info", "a\nb"}) {
        rdt_.clos_id = name;
        EXPECT_THAT(failure(rdt_), HasSubstr("linux.intelRdt.closID: invalid intelRdt.ClosID")) << name;
    }
    rdt_.clos_id.clear();
    rdt_.mem_bw_schema = "L3:0=f";
    EXPECT_THAT(failure(rdt_), HasSubstr("linux.intelRdt.memBwSchema: must start with MB:"));
    rdt_.mem_bw_schema = "MB:0=1\nMB:0=2";
    EXPECT_THAT(failure(rdt_), HasSubstr("linux.intelRdt.memBwSchema: must be one line"));
    rdt_.mem_bw_schema.clear();
    rdt_.schemata = {"nonsense"};
    EXPECT_THAT(failure(rdt_), HasSubstr("linux.intelRdt.schemata: expected a line"));
}

}  // namespace
}  // namespace locald::shim
