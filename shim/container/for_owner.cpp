#include "shim/container/for_owner.hpp"

#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/base/capabilities.hpp"

namespace locald::shim {

namespace {

bool acts = false;

/// What lstat finds where `path` is such a directory as setup and the setuid prologue make.
std::optional<struct stat> look_at_places(const std::string& path) {
    struct stat above {};
    struct stat place {};
    if (::lstat("/run/locald", &above) != 0 || ::lstat(path.c_str(), &place) != 0) return std::nullopt;
    if (!S_ISDIR(above.st_mode) || above.st_uid != 0 || (above.st_mode & (S_IWGRP | S_IWOTH)) != 0) return std::nullopt;
    if (!S_ISDIR(place.st_mode)) return std::nullopt;
    return place;
}

}  // namespace

void become_owner_of(const std::string& root) {
    if (root.empty() || ::getuid() != 0 || ::geteuid() != 0) return;
    std::array<char, PATH_MAX> real{};
    if (::realpath(root.c_str(), real.data()) == nullptr) return;
    const std::string path = real.data();
    constexpr std::string_view parent = "/run/locald/";
    if (!path.starts_with(parent)) return;
    const auto uid = parse_u64(std::string_view(path).substr(parent.size()));
    if (!uid || *uid == 0 || *uid >= std::numeric_limits<uid_t>::max()) return;
    const auto place = look_at_places(path);
    if (!place || place->st_uid != *uid || path != std::string(parent) + std::to_string(*uid)) return;

    const std::string what = "act for the owner of " + path;
    if (::setgroups(0, nullptr) != 0) throw_errno(errno, what, ": give up root's groups");
    if (::setresgid(place->st_gid, place->st_gid, place->st_gid) != 0) throw_errno(errno, what, ": take his group");
    if (::setresuid(place->st_uid, place->st_uid, place->st_uid) != 0) throw_errno(errno, what, ": take his id");
    apply_capabilities({});
    // He may not look into us: we have begun as root.
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) throw_errno(errno, what, ": become undumpable");
    constexpr auto as_it_is = static_cast<uid_t>(-1);
    if (::setresuid(as_it_is, 0, as_it_is) == 0) throw Error(ErrorKind::denied, what + ": root could not be given up");
    acts = true;
}

bool is_for_owner() noexcept { return acts; }

}  // namespace locald::shim
