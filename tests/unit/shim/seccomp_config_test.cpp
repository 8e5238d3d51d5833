#include <gtest/gtest.h>

#include "core/oci/seccomp_profile.hpp"
#include "shim/seccomp/config.hpp"
#include "shim/start/rights.h"

namespace locald::shim {
namespace {

/// As if the prologue had given up root, or as if there had been none.
class SeccompConfig : public ::testing::Test {
protected:
    SeccompConfig() { spec_.linux_.emplace(); }
    ~SeccompConfig() override { locald_rights.mode = locald_own_rights; }

    bool filtered(locald_mode mode) {
        locald_rights.mode = mode;
        EXPECT_EQ(container_seccomp(spec_, "").has_value(), has_seccomp(spec_));
        return has_seccomp(spec_);
    }
    std::vector<std::uint64_t> given() {
        locald_rights.mode = locald_was_setuid;
        return container_seccomp(spec_, "").value_or(SeccompFilter()).program;
    }
    static std::vector<std::uint64_t> default_for(const std::vector<std::string>& capabilities) {
        return compile_seccomp(oci::default_seccomp(capabilities), "").program;
    }

    oci::Spec spec_;
};

TEST_F(SeccompConfig, AddsAFilterInSetuidModeAlone) {
    EXPECT_TRUE(filtered(locald_was_setuid));
    EXPECT_FALSE(filtered(locald_own_rights));
}

TEST_F(SeccompConfig, AddsTheDefaultProfileOfTheBoundingSet) {
    EXPECT_EQ(given(), default_for({}));
    spec_.process.emplace();
    EXPECT_EQ(given(), default_for({}));
    spec_.process->capabilities.emplace().bounding = {"CAP_SYS_ADMIN"};
    EXPECT_EQ(given(), default_for({"CAP_SYS_ADMIN"}));
    EXPECT_NE(given(), default_for({}));
}

TEST_F(SeccompConfig, MakesNoFilterOfAProfileThatAllowsEverything) {
    oci::Seccomp& profile = spec_.linux_->seccomp.emplace();
    profile.default_action = "SCMP_ACT_ALLOW";
    for (const auto mode : {locald_was_setuid, locald_own_rights}) EXPECT_FALSE(filtered(mode));
    profile.default_action = "SCMP_ACT_LOG";
    EXPECT_TRUE(filtered(locald_own_rights));
}

TEST_F(SeccompConfig, KeepsAProfileThatAllowsNotQuiteEverything) {
    oci::Seccomp& profile = spec_.linux_->seccomp.emplace();
    profile.default_action = "SCMP_ACT_ALLOW";
    profile.architectures = {"SCMP_ARCH_X86_64"};
    EXPECT_TRUE(filtered(locald_was_setuid));
    profile.architectures = {};
    profile.flags = {"SECCOMP_FILTER_FLAG_LOG"};
    EXPECT_TRUE(filtered(locald_was_setuid));
    profile.flags = {};
    oci::SeccompRule rule;
    rule.names = {"getcwd"};
    rule.action = "SCMP_ACT_ERRNO";
    profile.syscalls = {rule};
    EXPECT_TRUE(filtered(locald_was_setuid));
    EXPECT_EQ(given(), compile_seccomp(profile, "").program);
}

TEST_F(SeccompConfig, TakesAProgramInAnAnnotationForANamedFilter) {
    spec_.annotations["run.oci.seccomp_bpf_data"] = "BgAAAAAA/38=";
    EXPECT_EQ(given().size(), 1U);
}

}  // namespace
}  // namespace locald::shim
