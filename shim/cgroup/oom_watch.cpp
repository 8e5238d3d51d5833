#include "shim/cgroup/oom_watch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>

#include "core/base/text.hpp"
#include "shim/cgroup/places.hpp"

namespace locald::shim {

OomWatch::OomWatch(const std::vector<std::string>& cgroups) {
    for (const auto& place : places_of(cgroups)) {
        if (place.mount->v2 && place.dir.has("memory.events")) {
            // The kernel wakes a poll for POLLPRI when one of its lines changes.
            fd_.reset(::openat(place.dir.fd().get(), "memory.events", O_RDONLY | O_CLOEXEC));
            events_ = POLLPRI;
            v2_ = true;
            look();
            return;
        }
        if (place.mount->v2 || !place.mount->has("memory")) continue;
        posix::UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        posix::UniqueFd control(::openat(place.dir.fd().get(), "memory.oom_control", O_RDONLY | O_CLOEXEC));
        if (!event || !control) continue;
        const std::string line = std::to_string(event.get()) + " " + std::to_string(control.get());
        if (place.dir.write("cgroup.event_control", line) != 0) continue;
        fd_ = std::move(event);
        control_ = std::move(control);
        events_ = POLLIN;
        return;
    }
}

std::uint64_t OomWatch::look() {
    if (!fd_) return 0;
    if (!v2_) {
        std::uint64_t count = 0;
        if (::read(fd_.get(), &count, sizeof count) != sizeof count) return 0;
        // The removal of the cgroup counts as an event too.
        std::array<char, 256> text{};
        return ::pread(control_.get(), text.data(), text.size(), 0) > 0 ? count : 0;
    }
    std::array<char, 512> text{};
    const ssize_t n = ::pread(fd_.get(), text.data(), text.size(), 0);
    if (n <= 0) return 0;
    for (const auto line : split(std::string_view(text.data(), static_cast<std::size_t>(n)), '\n')) {
        constexpr std::string_view key = "oom_kill ";
        if (!line.starts_with(key)) continue;
        const std::uint64_t now = parse_u64(line.substr(key.size())).value_or(0);
        const std::uint64_t before = seen_;
        seen_ = now;
        return now > before ? now - before : 0;
    }
    return 0;
}

}  // namespace locald::shim
