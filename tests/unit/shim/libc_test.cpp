#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>

#include "shim/base/errno_words.hpp"
#include "tests/support/libc_layout.h"

namespace locald::shim {
namespace {

TEST(ErrnoWords, AreThoseOfGlibc) {
    for (int number = 1; number < 134; ++number) {
        const char* name = ::strerrorname_np(number);
        if (name == nullptr) continue;
        ASSERT_NE(errno_words(number), nullptr) << name;
        EXPECT_STREQ(errno_words(number), std::strerror(number)) << name;
    }
    EXPECT_EQ(errno_words(0), nullptr);
    EXPECT_EQ(errno_words(9999), nullptr);
}

#ifdef LOCALD_MUSL_LAYOUT
/// Where they differ and it does not matter.
const std::map<std::string, std::string> harmless{
    {"sizeof(struct rusage)", "musl keeps room at its end that no call fills"},
    {"BUFSIZ", "the size of a stream's buffer, which each library makes for itself"},
};

// The shim's objects are compiled with glibc's headers and linked with musl's library (docs/decisions/0008).
TEST(LibcLayout, OfGlibcsHeadersIsThatOfMusl) {
    const layout_entry* glibc = glibc_layout;
    const layout_entry* musl = musl_layout;
    for (; glibc->name != nullptr && musl->name != nullptr; ++glibc, ++musl) {
        ASSERT_STREQ(glibc->name, musl->name);
        if (harmless.contains(glibc->name)) continue;
        EXPECT_EQ(glibc->value, musl->value) << glibc->name;
    }
    EXPECT_EQ(glibc->name, musl->name);
}
#endif

}  // namespace
}  // namespace locald::shim
