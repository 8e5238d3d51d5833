// The shim as an ordinary user: the container's rights come from a user namespace that config.json asks for.

#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::Program;
using locald::testing::ShimTest;

/// Root runs these as a user who has no account and no rights; anybody else as himself.
class ShimRootless : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
        std::ifstream most("/proc/sys/user/max_user_namespaces");
        int count = 0;
        most >> count;
        LOCALD_REQUIRE(count > 0, "user namespaces");
        user_ = ::geteuid();
        if (user_ == 0) {
            constexpr uid_t nobody_in_particular = 54321;
            uid_ = user_ = nobody_in_particular;
            for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
                ASSERT_EQ(::lchown(entry.path().c_str(), user_, user_), 0);
            }
            ASSERT_EQ(::chown(dir_.path().c_str(), user_, user_), 0);
        }
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }

    Json user_config(const std::string& line) const {
        auto json = config(line);
        json["linux"]["namespaces"].push_back({{"type", "user"}});
        const auto map = Json::array({{{"containerID", 0}, {"hostID", user_}, {"size", 1}}});
        json["linux"]["uidMappings"] = json["linux"]["gidMappings"] = map;
        return json;
    }

    uid_t user_ = 0;
};

TEST_F(ShimRootless, RunsAsRootOfItsOwnNamespaceOnly) {
    const auto result = run(user_config("id -u; touch /made; hostname; exit 5"));
    EXPECT_EQ(result.code, 5) << result.err;
    EXPECT_EQ(result.out, "0\nbox\n");
    struct stat st {};
    ASSERT_EQ(::stat(rootfs("/made").c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, user_);
}

TEST_F(ShimRootless, BindsTheHostsDevices) {
    const auto result = run(user_config("echo x >/dev/null && stat -c '%t:%T' /dev/null /dev/urandom"));
    EXPECT_EQ(result.out, "1:3\n1:9\n") << result.err;
}

TEST_F(ShimRootless, MountsAnOverlayRoot) {
    for (const char* name : {"upper", "work", "bundle/merged"}) {
        std::filesystem::create_directories(dir_ / name);
        ASSERT_EQ(::chown((dir_ / name).c_str(), user_, user_), 0);
    }
    auto json = user_config("touch /new; cat /etc/nothing; ls -d /bin");
    json["root"]["path"] = "merged";
    json["mounts"].insert(json["mounts"].begin(), Json{{"destination", "/"},
                                                       {"type", "overlay"},
                                                       {"source", "overlay"},
                                                       {"options",
                                                        {"lowerdir=" + rootfs(), "upperdir=" + (dir_ / "upper"),
                                                         "workdir=" + (dir_ / "work"), "userxattr", "volatile"}}});
    const auto result = run(json);
    EXPECT_EQ(result.out, "/bin\n") << result.err;
    EXPECT_TRUE(std::filesystem::exists(dir_ / "upper/new"));
}

TEST_F(ShimRootless, NeedsAUserNamespaceAndSaysSo) {
    const auto result = run(config("echo ran"));
    EXPECT_EQ(result.code, 125);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("user namespace"), std::string::npos) << result.err;
}

TEST_F(ShimRootless, ReadsNothingThatTheCallerMayNotRead) {
    LOCALD_REQUIRE(::geteuid() == 0, "root, to make a file of another user");
    std::ofstream(dir_ / "secret") << "secret\n";
    ASSERT_EQ(::chmod((dir_ / "secret").c_str(), 0600), 0);
    auto json = user_config("cat /secret");
    json["mounts"].push_back({{"destination", "/secret"}, {"source", dir_ / "secret"}, {"options", {"bind"}}});
    const auto result = run(json);
    EXPECT_NE(result.code, 0);
    EXPECT_EQ(result.out, "");
}

TEST_F(ShimRootless, DiesWithItsShim) {
    write(user_config(stay()));
    {
        Program program(command(run_words()), dir_ / "run", uid_);
        ASSERT_TRUE(program.wait_for_output("up")) << program.err();
        program.signal(SIGKILL);
        program.wait();
    }
    for (int i = 0; i < 200 && !processes().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(processes(), "");
    EXPECT_EQ(call({"delete", id_}).code, 0);
}

}  // namespace
