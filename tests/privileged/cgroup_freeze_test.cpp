#include <gmock/gmock.h>
#include <sys/mman.h>

#include <atomic>
#include <new>

#include "core/base/error.hpp"
#include "shim/cgroup/dir.hpp"
#include "tests/support/cgroup_fixture.hpp"

namespace locald::shim {
namespace {

using testing::CgroupProcess;

using CgroupLiveFreezer = testing::CgroupTest;

/// A number that a process inside counts up and that we read.
class Counter {
public:
    Counter()
        : value_(new(::mmap(nullptr, sizeof(std::atomic<long>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                            0)) std::atomic<long>(0)) {}
    ~Counter() { ::munmap(static_cast<void*>(value_), sizeof *value_); }
    Counter(const Counter&) = delete;
    Counter& operator=(const Counter&) = delete;
    int count_for_ever() const {
        for (;;) {
            value_->fetch_add(1);
            ::usleep(100);
        }
    }
    bool moves() const {
        const long before = value_->load();
        for (int i = 0; i < 200; ++i) {
            if (value_->load() != before) return true;
            ::usleep(1000);
        }
        return false;
    }

private:
    std::atomic<long>* value_;
};

TEST_F(CgroupLiveFreezer, StopsEveryProcessAndLetsItGoOn) {
    const auto cgroup = make();
    const Counter counter;
    CgroupProcess process(cgroup, [&] { return counter.count_for_ever(); });
    ASSERT_TRUE(counter.moves());
    EXPECT_FALSE(is_frozen(cgroup.paths()));
    cgroup.freeze();
    EXPECT_TRUE(is_frozen(cgroup.paths()));
    EXPECT_FALSE(counter.moves());
    cgroup.freeze();  // once more changes nothing
    EXPECT_TRUE(is_frozen(cgroup.paths()));
    cgroup.thaw();
    EXPECT_FALSE(is_frozen(cgroup.paths()));
    EXPECT_TRUE(counter.moves());
    cgroup.kill_all();
    process.wait();
    cgroup.remove();
}

TEST_F(CgroupLiveFreezer, KillsWhatIsFrozen) {
    const auto cgroup = make();
    CgroupProcess process(cgroup, testing::sleep_for_ever);
    cgroup.freeze();
    cgroup.kill_all();
    EXPECT_EQ(WTERMSIG(process.wait()), SIGKILL);
    cgroup.remove();
}

TEST_F(CgroupLiveFreezer, RefusesToUseACgroupThatIsFrozen) {
    spec_.linux_->cgroups_path = "/" + top_;
    const auto cgroup = make();
    cgroup.freeze();
    std::string line;
    try {
        make();
    } catch (const Error& e) {
        line = e.what();
    }
    cgroup.thaw();
    cgroup.remove();
    EXPECT_THAT(line, ::testing::HasSubstr("container's cgroup unexpectedly frozen"));
}

TEST_F(CgroupLiveFreezer, SaysWhichCgroupAboveIsFrozenInsteadOfWaiting) {
    if (cgroup_host().v2() == nullptr) return;
    const auto cgroup = make();
    CgroupProcess process(cgroup, testing::sleep_for_ever);
    const std::string top = cgroup_host().v2()->mount_point + "/" + top_;
    std::ofstream(top + "/cgroup.freeze") << "1" << std::flush;
    const auto* v2 = cgroup_host().v2();
    const auto outer = CgroupDir::open(CgroupHost{{*v2}}, top);
    for (int i = 0; i < 1000 && outer.value("cgroup.events", "frozen") != 1U; ++i) ::usleep(1000);
    EXPECT_THROW(cgroup.thaw(), Error);
    std::ofstream(top + "/cgroup.freeze") << "0" << std::flush;
    cgroup.thaw();
    cgroup.kill_all();
    process.wait();
    cgroup.remove();
}

}  // namespace
}  // namespace locald::shim
