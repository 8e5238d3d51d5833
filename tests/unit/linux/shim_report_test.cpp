#include "backends/linux/shim_report.hpp"

#include <gtest/gtest.h>

#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

using namespace locald;
using namespace locald::backends;

TEST(ShimReport, ReadsStartedAndExited) {
    EXPECT_EQ(parse_shim_event(R"({"event":"started","pid":42})").pid, 42);
    const auto exited = parse_shim_event(R"({"event":"exited","code":0,"signal":9,"oom":true})");
    EXPECT_EQ(exited.status.exit_code(), 137);
    EXPECT_TRUE(exited.oom_killed);
}

TEST(ShimReport, TurnsTheExitCodeOfAnErrorIntoItsKind) {
    const auto event = parse_shim_event(
        R"({"event":"error","kind":"not_found","errno":2,"message":"exec: no","remedy":"look","exit_code":127})");
    ASSERT_TRUE(event.error);
    EXPECT_EQ(event.error->kind(), ErrorKind::command_not_found);
    EXPECT_EQ(exit_code_of(*event.error), 127);
    EXPECT_STREQ(event.error->what(), "exec: no; look");
}

TEST(ShimReport, RefusesALineThatIsNoEvent) {
    EXPECT_THROW(parse_shim_event("not json"), Error);
    EXPECT_THROW(parse_shim_event(R"({"event":"started"})"), Error);
    EXPECT_THROW(parse_shim_event("[]"), Error);
}

TEST(ShimReport, EndsWithTheWriterAndJoinsSplitLines) {
    auto pipe = posix::make_pipe();
    posix::write_all(pipe.write, R"({"event":"started",)", "pipe");
    posix::write_all(pipe.write, "\"pid\":7}\n{\"event\":\"warning\",\"message\":\"w\"}\n", "pipe");
    pipe.write.reset();
    ShimReport report(std::move(pipe.read));
    EXPECT_EQ(report.next()->pid, 7);
    EXPECT_EQ(report.next()->text, "w");
    EXPECT_FALSE(report.next());
}
