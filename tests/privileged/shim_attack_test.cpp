// Bad input and hostile images: each is refused with one clear line, and the host is as before.

#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::ShimTest;

class ShimAttack : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }

    void expect_refused(const Json& json, const std::string& text) {
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << result.out;
        EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
        EXPECT_EQ(result.out, "");
    }
};

TEST_F(ShimAttack, RefusesIdsThatAreNoIds) {
    write(config("echo ran"));
    const std::string too_long(129, 'a');
    for (const std::string& id :
         {std::string(), std::string("/x"), std::string(".."), std::string("."), std::string("a/../b"),
          std::string(".hidden"), std::string("-x"), std::string("a\nb"), too_long}) {
        const auto result = call({"bundle", "run", "--bundle", dir_ / "bundle", "--id=" + id});
        EXPECT_EQ(result.code, 125) << id;
        EXPECT_EQ(result.out, "") << id;
    }
    EXPECT_FALSE(std::filesystem::exists(dir_ / "state")) << "the id is looked at before any file";
}

TEST_F(ShimAttack, NamesThePlaceInABrokenConfig) {
    write(std::string("{ broken"));
    auto result = call(run_words());
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("config.json"), std::string::npos) << result.err;
    auto json = config("true");
    json["process"]["user"]["uid"] = -1;
    expect_refused(json, "process.user.uid");
}

TEST_F(ShimAttack, RefusesAConfigThatIsNoPlainFile) {
    std::filesystem::remove(dir_ / "bundle/config.json");
    auto result = call(run_words());
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("config.json"), std::string::npos);
    ASSERT_EQ(::mkfifo((dir_ / "bundle/config.json").c_str(), 0600), 0);
    result = call(run_words());
    EXPECT_EQ(result.code, 125);
    EXPECT_NE(result.err.find("not a regular file"), std::string::npos) << result.err;
}

TEST_F(ShimAttack, RefusesWhatTheConfigurationContradicts) {
    auto json = config("true");
    json["linux"]["namespaces"].push_back({{"type", "pid"}});
    expect_refused(json, "duplicated ns");
    json = config("true");
    json["linux"]["namespaces"].push_back({{"type", "user"}});
    expect_refused(json, "no namespace path to join nor mappings to apply");
    json = config("true");
    json["linux"]["uidMappings"] = Json::array({{{"containerID", 0}, {"hostID", 1}, {"size", 1}}});
    expect_refused(json, "user namespace isn't enabled");
    json = config("true");
    json["process"]["cwd"] = "relative";
    expect_refused(json, "Cwd must be an absolute path");
    json = config("true");
    json["process"]["terminal"] = true;
    expect_refused(json, "--console-fd");
    json = config("true");
    for (auto& entry : json["linux"]["namespaces"]) {
        if (entry["type"] == "uts") entry["type"] = "time";
    }
    expect_refused(json, "unable to set hostname without a private UTS namespace");
}

TEST_F(ShimAttack, RefusesProcAndSysAsLinks) {
    for (const std::string name : {"/proc", "/sys"}) {
        std::filesystem::remove(rootfs(name));
        std::filesystem::create_directories(rootfs("/elsewhere"));
        std::filesystem::create_symlink("/elsewhere", rootfs(name));
        expect_refused(config("echo ran"), "is a link");
        std::filesystem::remove(rootfs(name));
        std::filesystem::create_directories(rootfs(name));
    }
}

TEST_F(ShimAttack, KeepsMountTargetsInsideTheRoot) {
    std::filesystem::create_directories(dir_ / "outside");
    std::filesystem::create_symlink(dir_ / "outside", rootfs("/escape"));
    std::filesystem::create_symlink("../../../../../../.." + (dir_ / "outside"), rootfs("/climb"));
    for (const std::string name : {"/escape/new/dir", "/climb/new", "/escape"}) {
        auto json = config("true");
        json["mounts"].push_back({{"destination", name}, {"type", "tmpfs"}, {"source", "tmpfs"}});
        run(json);
        EXPECT_TRUE(std::filesystem::is_empty(dir_ / "outside")) << name;
    }
}

TEST_F(ShimAttack, KeepsDevicesInsideTheRoot) {
    std::filesystem::create_directories(dir_ / "outside");
    std::filesystem::remove(rootfs("/dev"));
    std::filesystem::create_symlink(dir_ / "outside", rootfs("/dev"));
    auto json = config("true");
    json["mounts"].erase(2);
    json["mounts"].erase(1);
    run(json);
    EXPECT_TRUE(std::filesystem::is_empty(dir_ / "outside"));
}

TEST_F(ShimAttack, RefusesAWorkingDirectoryThatLeadsOutside) {
    for (int fd = 3; fd < 16; ++fd) {
        auto json = config("pwd; echo ran");
        json["process"]["cwd"] = "/proc/self/fd/" + std::to_string(fd);
        const auto result = run(json);
        EXPECT_EQ(result.code, 125) << fd << result.out;
        EXPECT_EQ(result.out, "");
    }
}

TEST_F(ShimAttack, MountsNothingBelowProc) {
    auto json = config("true");
    json["mounts"].push_back({{"destination", "/proc/sys"}, {"type", "tmpfs"}, {"source", "tmpfs"}});
    expect_refused(json, "\"/proc/sys\" cannot be mounted because it is inside /proc");
    std::filesystem::create_symlink("/proc/sys", rootfs("/way"));
    json["mounts"].back()["destination"] = "/way";
    expect_refused(json, "cannot be mounted because it is inside /proc");
}

TEST_F(ShimAttack, RefusesAForeignSysctl) {
    auto json = config("true");
    json["linux"]["sysctl"] = {{"kernel.core_pattern", "x"}};
    expect_refused(json, "sysctl \"kernel.core_pattern\"");
}

TEST_F(ShimAttack, RefusesAnIdThatIsInUse) {
    write(config(stay()));
    locald::testing::Program program(command(run_words()), dir_ / "run");
    ASSERT_TRUE(program.wait_for_output("up"));
    const auto second = call(run_words());
    EXPECT_EQ(second.code, 125);
    EXPECT_NE(second.err.find("container with given ID already exists"), std::string::npos) << second.err;
    program.signal(SIGKILL);
    program.wait();
    EXPECT_EQ(call({"delete", "-f", id_}).code, 0);
}

}  // namespace
