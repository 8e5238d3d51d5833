#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/cgroup/places.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr std::chrono::seconds most_waiting{10};

/// Waits until cgroup.events says `frozen 1` or `frozen 0`; the kernel wakes a poll for POLLPRI on every change.
bool wait_for_frozen(const CgroupDir& dir, bool frozen) {
    const UniqueFd file(::openat(dir.fd().get(), "cgroup.events", O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file) return false;
    const std::string_view wanted = frozen ? "frozen 1" : "frozen 0";
    const auto deadline = Backoff::Clock::now() + most_waiting;
    std::array<char, 256> block{};
    for (;;) {
        const ssize_t n = ::pread(file.get(), block.data(), block.size(), 0);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0 && std::string_view(block.data(), static_cast<std::size_t>(n)).find(wanted) != std::string::npos) {
            return true;
        }
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Backoff::Clock::now()).count();
        if (left <= 0) return false;
        pollfd watched{file.get(), POLLPRI, 0};
        ::poll(&watched, 1, static_cast<int>(left));
    }
}

[[noreturn]] void throw_unfrozen(const CgroupDir& dir, const char* step) {
    throw Error(ErrorKind::unavailable, std::string(step) + " " + dir.path() + ": not done after 10 s")
        .with_remedy(
            "a process in an uninterruptible wait (state D in ps) holds it up; try again when its device or "
            "server answers");
}

void freeze_v2(const CgroupDir& dir, bool frozen) {
    if (const int err = dir.write("cgroup.freeze", frozen ? "1" : "0"); err != 0) {
        throw_errno(err, "write to ", dir.path(), "/cgroup.freeze");
    }
    if (!frozen && dir.value("../cgroup.events", "frozen") == 1U) {
        throw Error(ErrorKind::unavailable, "thaw " + dir.path() + ": a cgroup above it is frozen")
            .with_remedy("thaw that one: write 0 to its cgroup.freeze");
    }
    if (wait_for_frozen(dir, frozen)) return;
    dir.write("cgroup.freeze", "0");
    throw_unfrozen(dir, frozen ? "freeze" : "thaw");
}

void freeze_v1(const CgroupDir& dir) {
    Backoff backoff(most_waiting);
    for (;;) {
        // Written again every time: a fork or a ptrace stop in between leaves it FREEZING for ever.
        if (const int err = dir.write("freezer.state", "FROZEN"); err != 0) {
            throw_errno(err, "write FROZEN to ", dir.path(), "/freezer.state");
        }
        if (trim(dir.read("freezer.state").value_or("")) == "FROZEN") return;
        if (!backoff.wait()) break;
    }
    dir.write("freezer.state", "THAWED");
    throw_unfrozen(dir, "freeze");
}

void thaw_v1(const CgroupDir& dir) {
    if (const int err = dir.write("freezer.state", "THAWED"); err != 0) {
        throw_errno(err, "write THAWED to ", dir.path(), "/freezer.state");
    }
    if (trim(dir.read("freezer.state").value_or("")) == "THAWED") return;
    throw Error(ErrorKind::unavailable, "thaw " + dir.path() + ": a cgroup above it is frozen")
        .with_remedy("thaw that one: write THAWED to its freezer.state");
}

void set_frozen(const std::vector<std::string>& paths, bool frozen) {
    for (const auto& place : places_of(paths)) {
        if (place.mount->v2) return freeze_v2(place.dir, frozen);
        if (place.mount->has("freezer")) return frozen ? freeze_v1(place.dir) : thaw_v1(place.dir);
    }
    throw Error(ErrorKind::unsupported, "freeze: the container has no cgroup with a freezer")
        .with_remedy("cgroup v2, or the v1 freezer, must be there and writable when the container is made");
}

/// The first bytes of a small cgroup file by its whole path; empty when it is not one.
std::string peek(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    struct statfs fs {};
    if (!file || ::fstatfs(file.get(), &fs) != 0) return {};
    if (fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != CGROUP_SUPER_MAGIC) return {};
    std::array<char, 16> block{};
    const ssize_t n = ::read(file.get(), block.data(), block.size());
    return n > 0 ? std::string(block.data(), static_cast<std::size_t>(n)) : std::string();
}

}  // namespace

void Cgroup::freeze() const { set_frozen(paths_, true); }
void Cgroup::thaw() const { set_frozen(paths_, false); }

bool is_frozen(const std::vector<std::string>& cgroups) {
    for (const auto& path : cgroups) {
        const std::string limits = limits_place(path);
        const std::string v2 = peek(limits + "/cgroup.freeze");
        if (!v2.empty()) return v2.starts_with('1');
        const std::string v1 = peek(limits + "/freezer.state");
        if (!v1.empty()) return v1.starts_with("FR");
    }
    return false;
}

}  // namespace locald::shim
