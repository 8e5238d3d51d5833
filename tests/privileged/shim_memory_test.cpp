// What a shim costs its host while it does nothing but wait.

#include "tests/support/require.hpp"
#include "tests/support/shim_fixture.hpp"

namespace {

using locald::testing::Program;
using locald::testing::ShimTest;

class ShimMemory : public ShimTest {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(locald::testing::have_busybox(), "/bin/busybox");
        write(config(stay()));
    }
    void TearDown() override { EXPECT_EQ(leftovers_soon(), ""); }
};

long resident_kib(pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("VmRSS:", 0) == 0) return std::stol(line.substr(6));
    }
    return -1;
}

TEST_F(ShimMemory, IsBelowAMebibyteWhileTheContainerRuns) {
    Program program(command(run_words()), dir_ / "run");
    ASSERT_TRUE(program.wait_for_output("up"));
    long kib = resident_kib(program.pid());
    for (int i = 0; i < 500 && kib > 1024; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        kib = resident_kib(program.pid());
    }
    EXPECT_GT(kib, 0);
    EXPECT_LE(kib, 1024);
    EXPECT_EQ(call({"kill", id_, "SIGKILL"}).code, 0);
    EXPECT_EQ(program.wait(), 137) << "what was given back is there again when it is needed";
}

}  // namespace
