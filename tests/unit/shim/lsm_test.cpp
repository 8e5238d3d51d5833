#include "shim/process/lsm.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include "core/base/error.hpp"

namespace locald::shim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

oci::Spec labelled() {
    oci::Spec spec;
    spec.linux_.emplace().mount_label = "system_u:object_r:container_file_t:s0:c1,c2";
    for (const char* type : {"proc", "tmpfs", "sysfs", "mqueue", "devpts", "cgroup2", "bind"}) {
        oci::Mount mount;
        mount.destination = std::string("/") + type;
        mount.type = type;
        spec.mounts.push_back(mount);
    }
    oci::Mount bind;
    bind.type = "tmpfs";
    bind.options = {"rbind"};
    spec.mounts.push_back(bind);
    oci::Mount own;
    own.type = "tmpfs";
    own.options = {"rootcontext=a:b:c:d"};
    spec.mounts.push_back(own);
    return spec;
}

std::string refusal(const oci::Spec& spec) {
    try {
        check_lsm(spec);
    } catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

TEST(MountLabel, BecomesAnOptionOfTheFileSystemsThatTakeOne) {
    auto spec = labelled();
    add_mount_label(spec);
    const std::string option = "context=system_u:object_r:container_file_t:s0:c1,c2";
    for (const auto& mount : spec.mounts) {
        if (mount.destination == "/tmpfs" || mount.destination == "/devpts") {
            EXPECT_THAT(mount.options, ElementsAre(option));
        } else if (!mount.destination.empty()) {
            EXPECT_THAT(mount.options, IsEmpty()) << mount.destination;
        }
    }
    EXPECT_THAT(spec.mounts[7].options, ElementsAre("rbind"));
    EXPECT_THAT(spec.mounts[8].options, ElementsAre("rootcontext=a:b:c:d"));
}

TEST(MountLabel, HasTheTypeOfTheAnnotation) {
    auto spec = labelled();
    spec.annotations["run.oci.mount_context_type"] = "rootcontext";
    add_mount_label(spec);
    EXPECT_THAT(spec.mounts[1].options, ElementsAre(HasSubstr("rootcontext=system_u")));
    spec.annotations["run.oci.mount_context_type"] = "othercontext";
    EXPECT_THAT(refusal(spec), HasSubstr("annotations[\"run.oci.mount_context_type\"]: unknown type"));
}

TEST(Lsm, IsRefusedWithTheAttributesPathInBackquotesWhereItIsOff) {
    oci::Spec spec;
    spec.process.emplace();
    EXPECT_FALSE(wants_lsm(*spec.process));
    spec.process->apparmor_profile = "unconfined";
    EXPECT_EQ(refusal(spec), "no error");
    spec.process->apparmor_profile = "some-profile";
    EXPECT_TRUE(wants_lsm(*spec.process));
    if (::access("/sys/module/apparmor", F_OK) != 0) {
        EXPECT_THAT(refusal(spec),
                    AllOf(HasSubstr("process.apparmorProfile: set `/proc/thread-self/attr/apparmor/exec`"),
                          HasSubstr("apparmor: config provided but apparmor not supported")));
    }
    spec.process->apparmor_profile.clear();
    spec.process->selinux_label = "system_u:system_r:container_t:s0";
    if (::access("/sys/fs/selinux", F_OK) != 0) {
        EXPECT_THAT(refusal(spec),
                    AllOf(HasSubstr("process.selinuxLabel: set `/proc/thread-self/attr/exec`"),
                          HasSubstr("selinux label is specified in config, but selinux is disabled or not supported")));
    }
}

TEST(Lsm, WritesThroughAVerifiedProcfs) {
    if (::access("/sys/fs/selinux", F_OK) == 0) GTEST_SKIP() << "the label would be asked of a real policy";
    oci::Process process;
    process.selinux_label = "system_u:system_r:container_t:s0";
    const auto procfs = open_lsm_procfs();
    try {
        set_exec_label(process, procfs);
        FAIL() << "no security module takes this";
    } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("process.selinuxLabel: write \"system_u:system_r:container_t:s0\" to "
                                        "`/proc/thread-self/attr/exec`: Invalid argument"));
    }
}

}  // namespace
}  // namespace locald::shim
