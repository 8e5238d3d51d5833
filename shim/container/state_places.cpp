// Where the states of a caller are. A user whose first setuid start made /run/locald/<uid> may have containers from
// before elsewhere, and what XDG_RUNTIME_DIR says differs from one session to the next: so whoever looks for a
// container looks in all of these places, and new ones go to the first.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "core/base/error.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/container/state.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

/// Refuses a directory that another user made or may write: he could swap states under us.
UniqueFd open_private(const std::string& path) {
    UniqueFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) {
        if (errno == ENOENT) return dir;
        throw_errno(errno, "open state directory ", path);
    }
    const struct stat st = posix::fstat(dir, path);
    if (st.st_uid != ::geteuid() || (st.st_mode & 077U) != 0) {
        throw Error(ErrorKind::denied,
                    "state directory " + path + ": not ours alone (owner " + std::to_string(st.st_uid) + ")")
            .with_remedy("it must belong to the caller with mode 0700; remove it, or choose another by --root");
    }
    return dir;
}

/// An ordinary user who is 0 in a user namespace of his own, as under an engine that he runs: /run is not his. The
/// user's name says whose the session directory is; the environment of `sudo` keeps the name `root`.
bool is_root_by_name_only() {
    const UniqueFd map(::open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC));
    char text[64] = {};
    if (!map || ::read(map.get(), text, sizeof text - 1) <= 0) return false;
    // All ids as they are: the first user namespace, or one that gives whole rights.
    unsigned long inside = 0, outside = 0, size = 0;
    if (std::sscanf(text, "%lu %lu %lu", &inside, &outside, &size) != 3) return false;
    if (inside == outside && size == std::numeric_limits<std::uint32_t>::max()) return false;
    const char* user = std::getenv("USER");
    return user == nullptr || std::string_view(user) != "root";
}

/// Of the prologue's making.
bool is_given(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == ::geteuid();
}

/// The first is the default.
std::vector<std::string> default_places() {
    const uid_t uid = ::geteuid();
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    const bool named = runtime != nullptr && runtime[0] == '/';
    const std::string session = named ? std::string(runtime) + "/locald" : std::string();
    if (uid == 0) return {named && is_root_by_name_only() ? session : "/run/locald/0"};
    std::vector<std::string> places;
    const std::string given = "/run/locald/" + std::to_string(uid);
    if (is_given(given)) places.push_back(given);
    if (named) places.push_back(session);
    places.push_back("/tmp/locald-" + std::to_string(uid));
    return places;
}

bool holds(const UniqueFd& place, const std::string& id) {
    struct stat st {};
    return place && ::fstatat(place.get(), id.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

std::string default_root() { return default_places().front(); }

UniqueFd open_root(const std::string& root, bool make) {
    if (!root.empty()) {
        UniqueFd dir(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (dir) return dir;
        if (errno != ENOENT) throw_errno(errno, "open state directory ", root);
        if (!make) return dir;
        posix::make_directories(root, 0700);
        return posix::open(root, O_RDONLY | O_DIRECTORY);
    }
    const std::string path = default_root();
    UniqueFd dir = open_private(path);
    if (dir || !make) return dir;
    if (::geteuid() == 0 && ::mkdir("/run/locald", 0755) != 0 && errno != EEXIST) {
        throw_errno(errno, "make directory /run/locald");
    }
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        const int err = errno;
        throw Error(kind_of_errno(err), "make state directory " + path + ": " + errno_text(err), err)
            .with_remedy("choose another by --root");
    }
    dir = open_private(path);
    if (!dir) throw_errno(ENOENT, "open state directory ", path);
    return dir;
}

std::vector<UniqueFd> open_roots(const std::string& root) {
    std::vector<UniqueFd> found;
    found.push_back(open_root(root, false));
    if (!root.empty()) return found;
    const auto places = default_places();
    for (auto place = places.begin() + 1; place != places.end(); ++place) {
        try {
            if (UniqueFd dir = open_private(*place)) found.push_back(std::move(dir));
        } catch (const Error&) {
            // Anybody can make a directory with this name in /tmp: then there is nothing of ours in it.
        }
    }
    return found;
}

StateDir find_state(const std::string& root, const std::string& id) {
    const auto places = open_roots(root);
    for (const auto& place : places) {
        if (holds(place, id)) return StateDir::open(place, id);
    }
    return StateDir::open(places.front(), id);  // which says that it does not exist
}

StateDir create_state(const std::string& root, const std::string& id) {
    const auto places = root.empty() ? open_roots(root) : std::vector<UniqueFd>();
    for (std::size_t i = 1; i < places.size(); ++i) {
        if (!holds(places[i], id)) continue;
        throw Error(ErrorKind::exists, id + ": container with given ID already exists", EEXIST)
            .with_remedy("it was made with another state directory; `locald-shim list` shows it");
    }
    return StateDir::create(open_root(root, true), id);
}

}  // namespace locald::shim
