#include "shim/cgroup/places.hpp"

#include <time.h>

#include <algorithm>

namespace locald::shim {

bool Backoff::wait() {
    if (Clock::now() >= deadline_) return false;
    const timespec pause{0, pause_};
    ::nanosleep(&pause, nullptr);
    pause_ = std::min(pause_ * 2, longest);
    return true;
}

std::vector<CgroupPlace> places_of(const std::vector<std::string>& paths) {
    std::vector<CgroupPlace> places;
    for (const auto& path : paths) {
        const CgroupMount* mount = cgroup_host().of(path);
        if (mount == nullptr) continue;
        auto dir = CgroupDir::open(cgroup_host(), limits_place(path));
        if (dir) places.push_back({mount, path, std::move(dir)});
    }
    return places;
}

}  // namespace locald::shim
