#include <sys/wait.h>

#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::ShimTest;

bool apparmor_is_on() {
    std::ifstream file("/sys/module/apparmor/parameters/enabled");
    std::string answer;
    file >> answer;
    return answer == "Y";
}

class ShimLsm : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }
};

TEST_F(ShimLsm, RunsNothingUnconfinedThatAsksForAProfile) {
    auto json = config("echo ran");
    json["process"]["apparmorProfile"] = "no-such-profile-of-ours";
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("`/proc/thread-self/attr/apparmor/exec`"), std::string::npos) << result.err;
}

TEST_F(ShimLsm, RunsNothingWithoutTheCacheClassItAsksFor) {
    std::ifstream mounts("/proc/self/mountinfo");
    const std::string all{std::istreambuf_iterator<char>(mounts), {}};
    LOCALD_REQUIRE(all.find(" - resctrl ") == std::string::npos, "a host without resctrl");
    auto json = config("echo ran");
    json["linux"]["intelRdt"] = {{"closID", "gold"}};
    const auto result = run(json);
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("linux.intelRdt: no resctrl file system is mounted"), std::string::npos) << result.err;
}

/// Real profiles, loaded by apparmor_parser.
class ShimAppArmor : public ShimLsm {
protected:
    void SetUp() override {
        ShimLsm::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        LOCALD_REQUIRE(apparmor_is_on(), "AppArmor");
        LOCALD_REQUIRE(::access("/sbin/apparmor_parser", X_OK) == 0, "/sbin/apparmor_parser");
        profile_ = "locald-test-" + id_;
        std::ofstream(dir_ / "profile") << "profile " << profile_
                                        << " flags=(attach_disconnected,mediate_deleted) {\n"
                                           "  file,\n  signal,\n  capability,\n  deny /tmp/closed/** w,\n}\n";
        ASSERT_EQ(parser("-r"), 0);
        loaded_ = true;
    }
    void TearDown() override {
        ShimLsm::TearDown();
        if (loaded_) {
            EXPECT_EQ(parser("-R"), 0);
        }
    }
    int parser(const std::string& verb) const {
        locald::testing::Program program({"/sbin/apparmor_parser", verb, dir_ / "profile"}, dir_ / "parser");
        return program.wait();
    }

    std::string profile_;
    bool loaded_ = false;
};

TEST_F(ShimAppArmor, ConfinesTheProgram) {
    std::filesystem::create_directories(rootfs("/tmp/closed"));
    for (const bool no_new_privileges : {true, false}) {
        auto json =
            config("cat /proc/self/attr/current; touch /tmp/open && echo open; touch /tmp/closed/x || echo closed");
        json["process"]["apparmorProfile"] = profile_;
        json["process"]["noNewPrivileges"] = no_new_privileges;
        const auto result = run(json);
        EXPECT_EQ(result.out, profile_ + " (enforce)\nopen\nclosed\n") << result.err;
        EXPECT_NE(result.err.find("Permission denied"), std::string::npos) << result.err;
    }
}

TEST_F(ShimAppArmor, ConfinesAUserNamespaceToo) {
    auto json = config("cat /proc/self/attr/current");
    json["process"]["apparmorProfile"] = profile_;
    json["linux"]["namespaces"].push_back({{"type", "user"}});
    json["linux"]["uidMappings"] = {{{"containerID", 0}, {"hostID", 0}, {"size", 65536}}};
    json["linux"]["gidMappings"] = json["linux"]["uidMappings"];
    EXPECT_EQ(run(json).out, profile_ + " (enforce)\n");
}

TEST_F(ShimAppArmor, NamesAProfileThatIsNotLoadedWithTheKernelsWords) {
    auto json = config("echo ran");
    json["process"]["apparmorProfile"] = "locald-no-such-profile";
    const auto result = run(json);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("write \"exec locald-no-such-profile\" to `/proc/thread-self/attr/apparmor/exec`: "
                              "No such file or directory"),
              std::string::npos)
        << result.err;
}

}  // namespace
