#include "shim/container/features.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "shim/mounts/mount_options.hpp"
#include "shim/namespaces/namespaces.hpp"
#include "shim/process/process.hpp"
#include "shim/seccomp/seccomp.hpp"

namespace locald::shim {
namespace {

using ::testing::Contains;
using Json = nlohmann::ordered_json;
using Names = std::vector<std::string>;

Json features() { return Json::parse(features_json()); }

TEST(Features, HaveEveryMemberOfTheDocumentInItsOrder) {
    Names top, linux_members;
    const Json all = features();
    for (const auto& [name, value] : all.items()) top.push_back(name);
    for (const auto& [name, value] : all.at("linux").items()) linux_members.push_back(name);
    EXPECT_EQ(top, (Names{"ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations",
                          "potentiallyUnsafeConfigAnnotations"}));
    EXPECT_EQ(linux_members, (Names{"namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux",
                                    "intelRdt", "memoryPolicy", "mountExtensions", "netDevices"}));
    EXPECT_TRUE(features_json().starts_with("{\n    \"ociVersionMin\": \"1.0.0\",\n")) << "indented by four";
}

TEST(Features, NameTheMountOptionsOfTheParser) {
    const auto names = features()["mountOptions"].get<Names>();
    EXPECT_EQ(names, known_mount_options());
    EXPECT_THAT(names, Contains("rro"));
    for (const auto& name : names) {
        EXPECT_TRUE(parse_mount_options({name}).data.empty() || name.find("sync") != std::string::npos ||
                    name.find("lazytime") != std::string::npos || name.find("mand") != std::string::npos)
            << name << " goes to the file system like an unknown one";
    }
}

TEST(Features, NameOnlyWhatTheSeccompCompilerTakes) {
    const Json seccomp = features().at("linux").at("seccomp");
    EXPECT_EQ(seccomp["actions"].size(), 9U);
    EXPECT_EQ(seccomp["operators"].size(), 7U);
    EXPECT_THAT(seccomp["actions"].get<Names>(), Contains("SCMP_ACT_NOTIFY"));
    for (const auto& arch : seccomp["archs"]) {
        oci::Seccomp profile;
        profile.default_action = "SCMP_ACT_ALLOW";
        profile.architectures = {arch};
        EXPECT_NO_THROW(check_seccomp(profile)) << arch;
    }
    for (const auto& operation : seccomp["operators"]) {
        oci::Seccomp profile;
        profile.default_action = "SCMP_ACT_ALLOW";
        oci::SeccompRule rule;
        rule.names = {"socket"};
        rule.action = "SCMP_ACT_ERRNO";
        rule.args = {{0, 1, 1, operation}};
        profile.syscalls = {rule};
        EXPECT_NO_THROW(compile_seccomp(profile, "")) << operation;
    }
    for (const auto& flag : seccomp["supportedFlags"]) EXPECT_THAT(seccomp["knownFlags"], Contains(flag));
    EXPECT_THAT(seccomp["supportedFlags"].get<Names>(), Contains("SECCOMP_FILTER_FLAG_LOG"));
}

TEST(Features, NameOnlyNamespacesAndMemoryModesThatConfigsMayName) {
    const Json all = features().at("linux");
    for (const auto& name : all.at("namespaces")) EXPECT_NE(namespace_flag(name), 0U) << name;
    for (const auto& mode : all.at("memoryPolicy").at("modes")) {
        oci::MemoryPolicy policy;
        policy.mode = mode;
        EXPECT_NO_THROW(check_memory_policy(policy)) << mode;
    }
    for (const auto& flag : all.at("memoryPolicy").at("flags")) {
        oci::MemoryPolicy policy;
        policy.mode = "MPOL_BIND";
        policy.nodes = "0";
        policy.flags = {flag};
        EXPECT_NO_THROW(check_memory_policy(policy)) << flag;
    }
}

}  // namespace
}  // namespace locald::shim
