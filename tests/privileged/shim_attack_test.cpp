// Bad input: each is refused with one clear line, and the host is as before. The attacks that others suffered are in
// cve/.

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
