#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace locald::testing {

/// True when the running test stands in tests/not-here, the list of what no machine at hand has.
inline bool listed_as_not_here() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    const std::string name = std::string(info->test_suite_name()) + "." + info->name();
    const char* path = std::getenv("LOCALD_TESTS_NOT_HERE");
    std::ifstream list(path != nullptr ? path : "tests/not-here");
    for (std::string line; std::getline(list, line);) {
        if (line.starts_with(name + " ") || line.starts_with(name + "\t")) return true;
    }
    return false;
}

}  // namespace locald::testing

/// Skips when a right or part is missing; with LOCALD_TESTS_MUST_RUN set that is a failure, unless tests/not-here names
/// the test.
#define LOCALD_REQUIRE(have, what)                                                                         \
    do {                                                                                                   \
        if (!(have)) {                                                                                     \
            if (std::getenv("LOCALD_TESTS_MUST_RUN") != nullptr && !locald::testing::listed_as_not_here()) \
                FAIL() << "needs " << (what);                                                              \
            GTEST_SKIP() << "needs " << (what);                                                            \
        }                                                                                                  \
    } while (false)
