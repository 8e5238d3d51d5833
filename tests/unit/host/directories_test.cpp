#include "core/host/directories.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "core/base/error.hpp"
#include "tests/support/require.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::host {
namespace {

using ::testing::HasSubstr;

/// Sets a variable for one test.
class Variable {
public:
    Variable(const char* name, const char* value) : name_(name) {
        if (const char* old = std::getenv(name); old != nullptr) before_ = old;
        value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
    }
    ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    const char* name_;
    std::optional<std::string> before_;
};

TEST(DataDirectory, FollowsTheXdgVariable) {
    const Variable xdg("XDG_DATA_HOME", "/somewhere");
    EXPECT_EQ(data_directory(), "/somewhere/locald");
}

TEST(DataDirectory, IsBelowHomeOtherwise) {
    const Variable home("HOME", "/home/x");
    const Variable unset("XDG_DATA_HOME", nullptr);
    EXPECT_EQ(data_directory(), "/home/x/.local/share/locald");
    const Variable relative("XDG_DATA_HOME", "not/absolute");
    EXPECT_EQ(data_directory(), "/home/x/.local/share/locald");
}

TEST(DataDirectory, AsksTheUserDatabaseWithoutHome) {
    const Variable home("HOME", nullptr);
    const Variable unset("XDG_DATA_HOME", nullptr);
    EXPECT_THAT(data_directory(), ::testing::EndsWith("/.local/share/locald"));
}

TEST(RuntimeDirectory, DependsOnTheUser) {
    const Variable xdg("XDG_RUNTIME_DIR", "/run/user/x");
    EXPECT_EQ(runtime_directory(), ::geteuid() == 0 ? "/run/locald/0" : "/run/user/x/locald");
}

TEST(PrivateDirectory, IsMadeWithItsParents) {
    const testing::TempDir dir;
    ensure_private_directory(dir / "a/b/c/");
    struct stat info {};
    ASSERT_EQ(::stat((dir / "a/b/c").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0700U);
    ensure_private_directory(dir / "a/b/c");
}

TEST(PrivateDirectory, IsRefusedWithAnotherMode) {
    const testing::TempDir dir;
    ::mkdir((dir / "open").c_str(), 0755);
    ::chmod((dir / "open").c_str(), 0755);
    try {
        ensure_private_directory(dir / "open");
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::denied);
        EXPECT_THAT(e.what(), HasSubstr("0755"));
    }
}

TEST(PrivateDirectory, IsRefusedAsALinkOrAFile) {
    const testing::TempDir dir;
    ensure_private_directory(dir / "real");
    ASSERT_EQ(::symlink((dir / "real").c_str(), (dir / "link").c_str()), 0);
    EXPECT_THROW(ensure_private_directory(dir / "link"), Error);
    ::close(::open((dir / "file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    EXPECT_THROW(ensure_private_directory(dir / "file"), Error);
}

TEST(PrivateDirectory, IsRefusedWhenSomebodyElseOwnsIt) {
    LOCALD_REQUIRE(::geteuid() == 0, "root, to give a directory away");
    const testing::TempDir dir;
    ensure_private_directory(dir / "theirs");
    ASSERT_EQ(::chown((dir / "theirs").c_str(), 12345, 12345), 0);
    try {
        ensure_private_directory(dir / "theirs");
        FAIL() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::denied);
        EXPECT_THAT(e.what(), HasSubstr("12345"));
    }
}

TEST(OwnExecutable, IsThisProgram) { EXPECT_THAT(own_executable(), ::testing::EndsWith("unit_host_tests")); }

}  // namespace
}  // namespace locald::host
