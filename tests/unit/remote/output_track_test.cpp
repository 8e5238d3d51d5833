// Where in a container's output the next connection goes on.

#include "backends/remote/output_track.hpp"

#include <gtest/gtest.h>

using namespace locald;
using namespace locald::backends;

TEST(OutputTrack, GoesOnAtTheLastMarkThatAllCameFor) {
    OutputTrack track;
    track.mark({100, 0, 0, 3, 1}, 0, 0);
    track.mark({150, 40, 10, 0, 2}, 0, 0);
    track.mark({300, 150, 50, 0, 3}, 60, 10);
    const auto place = track.end(120, 30);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->position, 150U);
    EXPECT_EQ(place->out, 80U);
    EXPECT_EQ(place->err, 20U);
    EXPECT_EQ(place->lines_to_skip, 0U);
    EXPECT_EQ(place->lines, 2U);
}

TEST(OutputTrack, OneStreamThatIsAheadDoesNotMakeAMarkCount) {
    OutputTrack track;
    track.mark({100, 0, 0, 0, 0}, 0, 0);
    track.mark({200, 50, 50, 0, 0}, 0, 0);
    const auto place = track.end(49, 60);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->position, 100U);
    EXPECT_EQ(place->out, 49U);
    EXPECT_EQ(place->err, 60U);
}

TEST(OutputTrack, AConnectionWithoutAMarkAddsToWhatWasHad) {
    OutputTrack track;
    EXPECT_FALSE(track.end(0, 0));
    track.mark({100, 5, 0, 0, 0}, 0, 0);
    track.end(10, 0);
    const auto place = track.end(7, 1);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->position, 100U);
    EXPECT_EQ(place->out, 12U);
    EXPECT_EQ(place->err, 1U);
}
