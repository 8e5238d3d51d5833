// `spec`: the file it writes is one that runs.

#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::ShimTest;

class ShimSpec : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }

    Json written() const {
        std::ifstream file(dir_ / "bundle/config.json");
        return Json::parse(file);
    }
};

TEST_F(ShimSpec, WritesAConfigurationThatRuns) {
    ASSERT_EQ(call({"spec", "--bundle", dir_ / "bundle"}).code, 0);
    auto json = written();
    EXPECT_EQ(json["process"]["terminal"], true);
    json["process"]["terminal"] = false;
    json["process"]["args"] = {
        "/bin/busybox", "sh", "-c",
        "busybox hostname; busybox touch /made || busybox grep NoNewPrivs /proc/self/status; exit 7"};
    const auto result = run(json);
    EXPECT_EQ(result.code, 7) << result.err;
    EXPECT_EQ(result.out, "locald\nNoNewPrivs:\t1\n");
    EXPECT_NE(result.err.find("Read-only file system"), std::string::npos) << result.err;
}

TEST_F(ShimSpec, LeavesAFileThatIsThere) {
    write(std::string("mine"));
    const auto result = call({"spec", "--bundle", dir_ / "bundle"});
    EXPECT_EQ(result.code, 1);
    EXPECT_NE(result.err.find("File config.json exists. Remove it first"), std::string::npos) << result.err;
    std::ifstream file(dir_ / "bundle/config.json");
    std::string text;
    file >> text;
    EXPECT_EQ(text, "mine");
}

TEST_F(ShimSpec, NamesABundleThatIsNotThere) {
    const auto result = call({"spec", "--bundle", dir_ / "none"});
    EXPECT_EQ(result.code, 1);
    EXPECT_NE(result.err.find(dir_ / "none"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("No such file or directory"), std::string::npos) << result.err;
}

}  // namespace
