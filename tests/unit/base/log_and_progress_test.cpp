#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/progress.hpp"

namespace locald {
namespace {

TEST(Log, DropsLinesBelowItsLevelBeforeTheSink) {
    std::vector<std::string> lines;
    set_log_sink([&](LogLevel, std::string_view line) { lines.emplace_back(line); });
    log(LogLevel::info, "a");
    log(LogLevel::warning, "b");
    set_log_level(LogLevel::debug);
    log(LogLevel::debug, "c");
    set_log_level(LogLevel::warning);
    set_log_sink({});
    EXPECT_EQ(lines, (std::vector<std::string>{"b", "c"}));
}

TEST(Log, WritesToStderrByDefault) {
    ::testing::internal::CaptureStderr();
    log(LogLevel::warning, "careful");
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "locald: warning: careful\n");
}

TEST(CancelToken, IsSharedByItsCopies) {
    const CancelToken token;
    const CancelToken copy = token;
    EXPECT_NO_THROW(copy.check());
    token.cancel();
    EXPECT_TRUE(copy.cancelled());
    try {
        copy.check();
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::cancelled);
    }
}

}  // namespace
}  // namespace locald
