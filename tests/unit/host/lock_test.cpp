#include "core/host/lock.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "core/base/error.hpp"
#include "core/host/child_process.hpp"
#include "tests/support/temp_dir.hpp"

namespace locald::host {
namespace {

TEST(FileLock, IsHeldByOneAtATime) {
    const testing::TempDir dir;
    {
        const auto lock = FileLock::acquire(dir / "lock");
        EXPECT_FALSE(FileLock::try_acquire(dir / "lock").has_value());
        EXPECT_FALSE(FileLock::try_acquire(dir / "lock", FileLock::Mode::shared).has_value());
    }
    EXPECT_TRUE(FileLock::try_acquire(dir / "lock").has_value());
}

TEST(FileLock, IsSharedWhenAsked) {
    const testing::TempDir dir;
    const auto lock = FileLock::acquire(dir / "lock", FileLock::Mode::shared);
    EXPECT_TRUE(FileLock::try_acquire(dir / "lock", FileLock::Mode::shared).has_value());
    EXPECT_FALSE(FileLock::try_acquire(dir / "lock").has_value());
}

TEST(FileLock, MovesWithItsOwner) {
    const testing::TempDir dir;
    auto first = FileLock::acquire(dir / "lock");
    FileLock second = std::move(first);
    EXPECT_EQ(first.handle(), -1);  // NOLINT(bugprone-use-after-move): what a moved-from lock holds is the question
    EXPECT_FALSE(FileLock::try_acquire(dir / "lock").has_value());
    second = FileLock::acquire(dir / "other");
    EXPECT_TRUE(FileLock::try_acquire(dir / "lock").has_value());
}

TEST(FileLock, IsFreeOnceAChildThatHeldItIsKilled) {
    const testing::TempDir dir;
    std::optional<Child> child;
    {
        const auto lock = FileLock::acquire(dir / "lock");
        child = Child::start({.argv = {"/bin/sleep", "30"}, .handles = {{lock.handle(), 3}}});
    }
    EXPECT_FALSE(FileLock::try_acquire(dir / "lock").has_value());
    child->signal(9);
    child->wait();
    EXPECT_TRUE(FileLock::try_acquire(dir / "lock").has_value());
}

TEST(FileLock, ProtectsTheNameAndNotARemovedFile) {
    const testing::TempDir dir;
    auto first = std::optional(FileLock::acquire(dir / "lock"));
    std::atomic<bool> has_it = false;
    std::thread waiter([&] {
        const auto lock = FileLock::acquire(dir / "lock");
        struct stat ours {};
        struct stat named {};
        EXPECT_EQ(::fstat(lock.handle(), &ours), 0);
        EXPECT_EQ(::stat((dir / "lock").c_str(), &named), 0);
        EXPECT_EQ(ours.st_ino, named.st_ino);
        has_it = true;
    });
    ::usleep(30'000);
    EXPECT_FALSE(has_it);
    ::unlink((dir / "lock").c_str());
    first.reset();
    waiter.join();
    EXPECT_TRUE(has_it);
}

TEST(FileLock, FollowsNoLink) {
    const testing::TempDir dir;
    ASSERT_EQ(::symlink((dir / "target").c_str(), (dir / "lock").c_str()), 0);
    EXPECT_THROW(FileLock::acquire(dir / "lock"), Error);
    EXPECT_NE(::access((dir / "target").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace locald::host
