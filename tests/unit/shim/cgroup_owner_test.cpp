#include <gmock/gmock.h>
#include <unistd.h>

#include "core/base/error.hpp"
#include "shim/cgroup/owner.hpp"
#include "shim/cgroup/subgroup.hpp"
#include "shim/cgroup/systemd_cgroup.hpp"

namespace locald::shim {
namespace {

oci::Spec spec_for(std::uint32_t uid) {
    oci::Spec spec;
    spec.process.emplace();
    spec.process->user.uid = uid;
    spec.linux_.emplace();
    spec.linux_->namespaces = {{"cgroup", "", {}}};
    oci::Mount mount;
    mount.destination = "/sys/fs/cgroup";
    mount.source = "cgroup";
    mount.type = "cgroup";
    spec.mounts = {mount};
    return spec;
}

TEST(CgroupOwner, IsTheUserOfTheProcessOnTheHost) {
    oci::Spec spec = spec_for(4000);
    EXPECT_EQ(cgroup_owner(spec), 4000U);
    spec.linux_->uid_mappings = {{0, 100000, 1000}, {1000, 200000, 65536}};
    EXPECT_EQ(cgroup_owner(spec), 203000U);
    spec.process->user.uid = 70000;
    EXPECT_FALSE(cgroup_owner(spec));  // not mapped
}

TEST(CgroupOwner, IsNobodyWhereNothingCouldBeDoneWithIt) {
    EXPECT_FALSE(cgroup_owner(spec_for(::geteuid())));
    oci::Spec spec = spec_for(4000);
    spec.mounts[0].options = {"ro"};
    EXPECT_FALSE(cgroup_owner(spec));
    spec = spec_for(4000);
    spec.mounts[0].source = "cgroup2";
    EXPECT_FALSE(cgroup_owner(spec));
    spec = spec_for(4000);
    spec.linux_->namespaces[0].path = "/proc/1/ns/cgroup";
    EXPECT_FALSE(cgroup_owner(spec));
    spec = spec_for(4000);
    spec.linux_->namespaces.clear();
    EXPECT_FALSE(cgroup_owner(spec));
}

TEST(SystemdManagerPlace, IsAboveWhereTheManagerOrWeAre) {
    EXPECT_EQ(manager_place(true, "init.scope", 0), "");
    EXPECT_EQ(manager_place(true, "docker/x/init.scope", 0), "docker/x");
    EXPECT_EQ(manager_place(true, "", 0), "");
    EXPECT_EQ(manager_place(false, "user.slice/user-5.slice/user@5.service/app.slice/x.scope", 5),
              "user.slice/user-5.slice/user@5.service");
    EXPECT_EQ(manager_place(false, "user.slice/user-5.slice/session-1.scope", 5),
              "user.slice/user-5.slice/user@5.service");
}

TEST(Subgroups, AreCleanPathsBelowTheContainersCgroup) {
    oci::Spec spec = spec_for(0);
    EXPECT_EQ(systemd_subgroup(spec), "");
    spec.annotations = {{"run.oci.systemd.subgroup", ""}, {"run.oci.delegate-cgroup", "/init//scope/"}};
    EXPECT_EQ(systemd_subgroup(spec), "");
    EXPECT_EQ(delegated_subgroup(spec, CgroupLayout::v2), "init/scope");
    for (const char* bad : {"..", "a/../b", ".", "a\nb"}) {
        spec.annotations = {{"run.oci.systemd.subgroup", bad}};
        EXPECT_THROW(systemd_subgroup(spec), Error) << bad;
    }
    spec.annotations = {{"run.oci.systemd.subgroup", std::string(256, 'a')}};
    EXPECT_THROW(systemd_subgroup(spec), Error);
}

TEST(Subgroups, AreNotDelegatedOnVersion1) {
    oci::Spec spec = spec_for(0);
    EXPECT_EQ(delegated_subgroup(spec, CgroupLayout::v1), "");
    spec.annotations = {{"run.oci.delegate-cgroup", "payload"}};
    for (const auto layout : {CgroupLayout::v1, CgroupLayout::hybrid}) {
        EXPECT_THROW(delegated_subgroup(spec, layout), Error);
    }
}

}  // namespace
}  // namespace locald::shim
