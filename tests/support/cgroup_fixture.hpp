#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "tests/support/require.hpp"

namespace locald::testing {

using shim::Cgroup;
using shim::cgroup_host;
using shim::CgroupLayout;

/// A process in `cgroup` that does `body` and exits with what it returns; killed and reaped at the end.
class CgroupProcess {
public:
    CgroupProcess(const Cgroup& cgroup, const std::function<int()>& body) {
        auto gate = posix::make_pipe();
        clone_args args{};
        args.exit_signal = SIGCHLD;
        if (cgroup.birth_place()) {
            args.flags = CLONE_INTO_CGROUP;
            args.cgroup = static_cast<__u64>(cgroup.birth_place().get());
        }
        pid_ = posix::clone3(args);
        if (pid_ == 0) {
            gate.write.reset();
            char byte = 0;
            static_cast<void>(!::read(gate.read.get(), &byte, 1));
            ::_exit(body());
        }
        cgroup.attach(pid_, static_cast<bool>(cgroup.birth_place()));
    }
    ~CgroupProcess() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            wait();
        }
    }
    CgroupProcess(const CgroupProcess&) = delete;
    CgroupProcess& operator=(const CgroupProcess&) = delete;

    pid_t pid() const noexcept { return pid_; }
    int wait() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return status;
    }

private:
    pid_t pid_ = -1;
};

inline int sleep_for_ever() {
    for (;;) ::pause();
}

inline std::string read_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

inline std::string above(const std::string& path) { return path.substr(0, path.rfind('/')); }

/// Container cgroups under a name of this test alone; at the end nothing may be left of it.
/// A container's cgroup with its limits, as a container makes it; nothing stays when one is refused.
inline shim::Cgroup create(const oci::Spec& spec, const std::vector<std::string>& planned) {
    auto cgroup = shim::Cgroup::create(spec, planned);
    try {
        cgroup.limit();
    } catch (const locald::Error&) {
        cgroup.remove();
        cgroup.remove_parents();
        throw;
    }
    return cgroup;
}

class CgroupTest : public ::testing::Test {
protected:
    void SetUp() override {
        LOCALD_REQUIRE(::geteuid() == 0, "root");
        LOCALD_REQUIRE(cgroup_host().layout() != CgroupLayout::none, "a cgroup hierarchy");
        top_ = "shim-test-" + std::to_string(::getpid());
        spec_.linux_.emplace();
        spec_.linux_->resources.emplace();
        spec_.linux_->cgroups_path = "/" + top_ + "/locald/user-0/web/c";
    }
    void TearDown() override {
        for (const auto& mount : cgroup_host().mounts) {
            const std::string path = mount.mount_point + "/" + top_;
            if (::rmdir(path.c_str()) != 0) {
                EXPECT_EQ(errno, ENOENT) << path << " was left with something in it";
            }
        }
    }
    Cgroup make() { return create(spec_, Cgroup::plan(spec_, "web")); }
    /// The directory of the processes in the hierarchy of a v1 controller.
    std::string place(const char* controller) const {
        return cgroup_host().v1(controller)->mount_point + spec_.linux_->cgroups_path;
    }

    oci::Resources& resources() { return *spec_.linux_->resources; }
    std::string top_;
    oci::Spec spec_;
};

}  // namespace locald::testing
