#include "core/base/time.hpp"

#include <gtest/gtest.h>

namespace locald {
namespace {

TEST(Time, IsWrittenAndReadBack) {
    EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
    EXPECT_EQ(rfc3339(1'709'294'400'000'000'001), "2024-03-01T12:00:00.000000001Z");
    for (const std::int64_t moment : {std::int64_t{0}, std::int64_t{1'709'294'400'000'000'001}, std::int64_t{-1}}) {
        EXPECT_EQ(parse_rfc3339(rfc3339(moment)), moment);
    }
}

TEST(Time, IsReadInEveryForm) {
    constexpr std::int64_t noon = 1'709'294'400'000'000'000;
    for (const char* text : {"2024-03-01T12:00:00Z", "2024-03-01T12:00:00", "2024-03-01T12:00",
                             "2024-03-01 12:00:00.0Z", "2024-03-01T13:30:00+01:30", "2024-03-01T10:00:00-02:00"}) {
        EXPECT_EQ(parse_rfc3339(text), noon) << text;
    }
    EXPECT_EQ(parse_rfc3339("2024-03-01"), noon - 43'200'000'000'000);
    EXPECT_EQ(parse_rfc3339("2024-03-01T12:00:00.25Z"), noon + 250'000'000);
}

TEST(Time, RefusesEverythingElse) {
    for (const char* text : {"", "soon", "2024", "2024-13-01", "2024-02-30", "2024-03-01T", "2024-03-01T25:00",
                             "2024-03-01T12:00:00X", "2024-03-01T12:00:00+1", "2024-03-01T12:00:00Z!", "12:00"}) {
        EXPECT_FALSE(parse_rfc3339(text)) << text;
    }
}

}  // namespace
}  // namespace locald
