#include "core/base/signal_name.hpp"

#include <gtest/gtest.h>

#include "core/base/error.hpp"

using locald::Error;
using locald::parse_signal;

TEST(SignalName, TakesNamesWithAndWithoutPrefixInAnyCase) {
    EXPECT_EQ(parse_signal("TERM"), 15);
    EXPECT_EQ(parse_signal("SIGTERM"), 15);
    EXPECT_EQ(parse_signal("sigkill"), 9);
    EXPECT_EQ(parse_signal("Usr2"), 12);
}

TEST(SignalName, TakesNumbersFrom1To64) {
    EXPECT_EQ(parse_signal("1"), 1);
    EXPECT_EQ(parse_signal("64"), 64);
    EXPECT_THROW(parse_signal("0"), Error);
    EXPECT_THROW(parse_signal("65"), Error);
    EXPECT_THROW(parse_signal("-9"), Error);
}

TEST(SignalName, CountsRealTimeSignalsFromBothEnds) {
    EXPECT_EQ(parse_signal("SIGRTMIN"), 34);
    EXPECT_EQ(parse_signal("SIGRTMIN+3"), 37);
    EXPECT_EQ(parse_signal("RTMAX-1"), 63);
    EXPECT_THROW(parse_signal("RTMIN+31"), Error);
    EXPECT_THROW(parse_signal("RTMIN-1"), Error);
}

TEST(SignalName, NamesTheTextItDoesNotKnow) {
    try {
        parse_signal("SIGNOPE");
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.message(), "unknown signal \"SIGNOPE\"");
        EXPECT_FALSE(e.remedy().empty());
    }
}
