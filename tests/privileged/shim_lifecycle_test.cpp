// state, list, kill, delete, and what a kill -9 at any moment leaves.

#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::Program;
using locald::testing::ShimTest;

class ShimLifecycle : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
        write(config(stay()));
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }
};

TEST_F(ShimLifecycle, ShowsAndEndsARunningContainer) {
    Program program(command(run_words()), dir_ / "run");
    ASSERT_TRUE(program.wait_for_output("up"));
    const auto state = Json::parse(call({"state", id_}).out);
    EXPECT_EQ(state.at("status"), "running");
    EXPECT_EQ(state.at("id"), id_);
    EXPECT_EQ(state.at("bundle"), dir_ / "bundle");
    EXPECT_EQ(::kill(state.at("pid").get<pid_t>(), 0), 0);
    EXPECT_EQ(call({"list", "-q"}).out, id_ + "\n");
    EXPECT_EQ(Json::parse(call({"list", "-f", "json"}).out).at(0).at("id"), id_);
    EXPECT_EQ(call({"delete", id_}).code, 1) << "it runs";
    EXPECT_TRUE(call({"kill", id_, "bogus"}).err.starts_with("locald-shim: unknown signal \"bogus\"; "));
    EXPECT_EQ(call({"kill", id_, "SIGKILL"}).code, 0);
    EXPECT_EQ(program.wait(), 137);
    const auto gone = call({"state", id_});
    EXPECT_EQ(gone.code, 1);
    EXPECT_NE(gone.err.find("container does not exist"), std::string::npos);
}

TEST_F(ShimLifecycle, DeleteForceEndsARunningContainer) {
    Program program(command(run_words()), dir_ / "run");
    ASSERT_TRUE(program.wait_for_output("up"));
    EXPECT_EQ(call({"delete", "--force", id_}).code, 0);
    EXPECT_EQ(program.wait(), 137);
    EXPECT_EQ(call({"delete", "--force", id_}).code, 0) << "an unknown id is no error";
    EXPECT_EQ(call({"delete", id_}).code, 1);
}

TEST_F(ShimLifecycle, DiesWithItsShimAndCanBeDeleted) {
    {
        Program program(command(run_words()), dir_ / "run");
        ASSERT_TRUE(program.wait_for_output("up"));
        program.signal(SIGKILL);
        program.wait();
    }
    for (int i = 0; i < 200 && !processes().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(processes(), "");
    EXPECT_EQ(Json::parse(call({"state", id_}).out).at("status"), "stopped");
    const auto again = call(run_words());
    EXPECT_EQ(again.code, 125);
    EXPECT_NE(again.err.find("delete"), std::string::npos) << again.err;
    EXPECT_EQ(call({"delete", id_}).code, 0);
}

TEST_F(ShimLifecycle, LeavesNothingWhateverMomentItIsKilledAt) {
    for (int step = 0; step < 25; ++step) {
        {
            Program program(command(run_words()), dir_ / "run");
            std::this_thread::sleep_for(std::chrono::microseconds(400 * step));
            program.signal(SIGKILL);
            program.wait();
        }
        EXPECT_EQ(call({"delete", "--force", id_}).code, 0) << step;
        ASSERT_EQ(leftovers_soon(), "") << "killed after " << 400 * step << " us";
    }
}

}  // namespace
