#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// Tells when the kernel killed a process of a container for memory.
class OomWatch {
public:
    /// Of the container with these recorded cgroups. Where nobody limits memory it never tells anything.
    explicit OomWatch(const std::vector<std::string>& cgroups);
    /// For poll; -1 when there is nothing to wait for. The events are events().
    int fd() const noexcept { return fd_.get(); }
    short events() const noexcept { return events_; }
    /// How many kills there were since the last look.
    std::uint64_t look();

private:
    posix::UniqueFd fd_, control_;
    short events_ = 0;
    bool v2_ = false;
    std::uint64_t seen_ = 0;
};

}  // namespace locald::shim
