#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/support/cgroup_fixture.hpp"

namespace locald::shim {
namespace {

using CgroupLiveOwner = testing::CgroupTest;

uid_t owner_of(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0 ? st.st_uid : static_cast<uid_t>(-1);
}

TEST_F(CgroupLiveOwner, GetsTheFilesThatMayBeHandedOnAndNoOther) {
    const auto* v2 = cgroup_host().v2();
    spec_.process.emplace();
    spec_.process->user.uid = 4242;
    spec_.linux_->namespaces = {{"cgroup", "", {}}};
    oci::Mount mount;
    mount.destination = "/sys/fs/cgroup";
    mount.source = "cgroup";
    spec_.mounts = {mount};
    const auto cgroup = make();
    // Not on v1 and hybrid hosts, where the container could reach more than its own.
    const uid_t expected = cgroup_host().layout() == CgroupLayout::v2 ? 4242 : 0;
    if (v2 != nullptr) {
        const std::string dir = v2->mount_point + spec_.linux_->cgroups_path;
        for (const char* file : {"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"}) {
            EXPECT_EQ(owner_of(dir + file), expected) << file;
        }
        EXPECT_EQ(owner_of(dir + "/cgroup.freeze"), 0U);
        EXPECT_EQ(owner_of(testing::above(dir)), 0U);
    }
    cgroup.remove();
}

}  // namespace
}  // namespace locald::shim
