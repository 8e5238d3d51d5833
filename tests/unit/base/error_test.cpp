#include "core/base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace locald {
namespace {

TEST(ErrorLine, HasTheStepsFromTheOutsideInAndTheRemedyLast) {
    Error e(ErrorKind::denied, "mount proc on /proc: Operation not permitted", EPERM);
    e.add_context("create web").with_remedy("try it as root").add_context("run");
    EXPECT_STREQ(e.what(), "run: create web: mount proc on /proc: Operation not permitted; try it as root");
    EXPECT_EQ(e.message(), "run: create web: mount proc on /proc: Operation not permitted");
    EXPECT_EQ(e.remedy(), "try it as root");
    EXPECT_EQ(e.os_errno(), EPERM);
}

TEST(ErrorLine, KeepsTheInnermostRemedy) {
    Error e(ErrorKind::invalid, "x");
    e.with_remedy("first").with_remedy("second");
    EXPECT_EQ(e.remedy(), "first");
}

TEST(ErrorJson, HoldsWhatIsKnown) {
    EXPECT_EQ(Error(ErrorKind::invalid, "a \"b\"\n").to_json(), R"({"kind":"invalid","message":"a \"b\"\n"})");
    Error e(ErrorKind::not_found, "open x", ENOENT);
    e.with_remedy("make x");
    EXPECT_EQ(e.to_json(), R"({"kind":"not_found","message":"open x","errno":2,"remedy":"make x"})");
}

TEST(ErrorKindName, FindsItsWayBack) {
    for (int i = 0; i <= static_cast<int>(ErrorKind::system); ++i) {
        const auto kind = static_cast<ErrorKind>(i);
        EXPECT_EQ(error_kind_from(to_string(kind)), kind) << to_string(kind);
    }
    EXPECT_EQ(error_kind_from("what is this"), ErrorKind::system);
}

TEST(ThrowErrno, JoinsThePartsAndTheKernelsWords) {
    const std::string path = "/x";
    try {
        throw_errno(EACCES, "open ", path, std::string_view(" for writing"));
        FAIL();
    } catch (const Error& e) {
        EXPECT_STREQ(e.what(), "open /x for writing: Permission denied");
        EXPECT_EQ(e.kind(), ErrorKind::denied);
        EXPECT_EQ(e.os_errno(), EACCES);
    }
}

TEST(KindOfErrno, SaysWhatACallerMayDecideOn) {
    EXPECT_EQ(kind_of_errno(ENOENT), ErrorKind::not_found);
    EXPECT_EQ(kind_of_errno(EEXIST), ErrorKind::exists);
    EXPECT_EQ(kind_of_errno(EPERM), ErrorKind::denied);
    EXPECT_EQ(kind_of_errno(ENOSYS), ErrorKind::unsupported);
    EXPECT_EQ(kind_of_errno(ENOSPC), ErrorKind::no_space);
    EXPECT_EQ(kind_of_errno(ECONNREFUSED), ErrorKind::unavailable);
    EXPECT_EQ(kind_of_errno(EIO), ErrorKind::system);
}

TEST(ExitCodeOf, IsTheDesignsTable) {
    EXPECT_EQ(exit_code_of(Error(ErrorKind::not_executable, "")), 126);
    EXPECT_EQ(exit_code_of(Error(ErrorKind::command_not_found, "")), 127);
    EXPECT_EQ(exit_code_of(Error(ErrorKind::not_found, "")), 125);
    EXPECT_EQ(exit_code_of(Error(ErrorKind::lost, "")), 125);
}

TEST(InStep, PutsItsNameInFrontAndPassesValuesOn) {
    EXPECT_EQ(in_step("a", [] { return 3; }), 3);
    try {
        in_step("outer", [] { in_step("inner", [] { throw Error(ErrorKind::invalid, "x"); }); });
        FAIL();
    } catch (const Error& e) {
        EXPECT_STREQ(e.what(), "outer: inner: x");
    }
}

}  // namespace
}  // namespace locald
