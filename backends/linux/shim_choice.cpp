#include "backends/linux/shim_choice.hpp"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "backends/linux/admin/root_files.hpp"
#include "backends/linux/shim_program.hpp"
#include "core/base/error.hpp"
#include "core/host/directories.hpp"
#include "core/posix/fs.hpp"

namespace locald::backends {

namespace {

const std::string shim_name = "locald-shim";

std::vector<std::string> installed_places() {
    const std::string own = host::own_executable();
    const std::string prefix = admin::parent_of(admin::parent_of(own));
    const std::string below = "/libexec/locald/" + shim_name;
    std::vector<std::string> places{(prefix == "/" ? "" : prefix) + below};
    if (places.front() != "/usr/local" + below) places.push_back("/usr/local" + below);
    return places;
}

/// The answer of a former call is kept with the identities of both files.
bool is_same_build(const std::string& one, const std::string& other, const std::string& cache_file) {
    const std::string known = file_identity(one) + file_identity(other);
    const std::string before = cache_file.empty() ? std::string() : read_cache(cache_file);
    if (before == known + "same\n") return true;
    if (before == known + "differs\n") return false;
    const bool same = posix::read_file(one) == posix::read_file(other);
    if (!cache_file.empty()) write_cache(cache_file, known + (same ? "same\n" : "differs\n"));
    return same;
}

std::string first_of(const ShimCandidate& candidate) {
    if (!candidate.unsafe.empty()) return candidate.unsafe.front();
    if (!candidate.lost.empty()) return candidate.lost.front();
    if (!candidate.executable) return "this user may not execute it";
    return candidate.has_bit ? std::string() : "it has not root's setuid bit";
}

/// Whether the installed one is used instead of the one beside us. Says in `choice` why not.
bool prefers(const ShimCandidate& installed, const std::string& beside, const std::string& cache_file,
             ShimChoice& choice) {
    std::string why = first_of(installed);
    choice.is_warning = !installed.unsafe.empty();
    if (why.empty() && !beside.empty() && !is_same_build(beside, installed.path, cache_file)) {
        why = "it is not of the same build as this locald";
        choice.is_warning = true;
    }
    if (!why.empty()) choice.refused = installed.path + " is not used: " + why;
    return why.empty();
}

}  // namespace

std::string_view to_string(ShimRights rights) noexcept {
    switch (rights) {
        case ShimRights::root:
            return "root";
        case ShimRights::setuid:
            return "setuid";
        case ShimRights::rootless:
            break;
    }
    return "rootless";
}

ShimCandidate look_at_shim(const std::string& path) {
    ShimCandidate found;
    found.path = path;
    found.executable = ::access(path.c_str(), X_OK) == 0;
    struct stat st {};
    struct statvfs fs {};
    if (::stat(path.c_str(), &st) != 0 || ::statvfs(path.c_str(), &fs) != 0) return found;
    const bool bit = (st.st_mode & S_ISUID) != 0 && S_ISREG(st.st_mode);
    found.has_bit = bit && st.st_uid == 0;
    if ((fs.f_flag & ST_NOSUID) != 0) found.lost.emplace_back("it is on a mount with nosuid");
    if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) found.lost.emplace_back("no_new_privs is set for this process");
    if (!bit) return found;
    if (st.st_uid != 0) found.unsafe.push_back("it belongs to user " + std::to_string(st.st_uid) + " and not to root");
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) found.unsafe.emplace_back("it may be written by others than root");
    struct stat link {};
    if (::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode)) found.unsafe.emplace_back("it is a symbolic link");
    try {
        admin::open_root_directory(admin::parent_of(path), false);
    } catch (const Error& e) {
        if (e.kind() == ErrorKind::denied && e.os_errno() == 0) found.unsafe.push_back(e.message());
    }
    return found;
}

ShimChoice choose_shim(const runtime::RuntimeChoice& choice, const std::string& cache_file) {
    ShimChoice chosen;
    std::string beside;
    std::string why_nothing;
    try {
        beside = find_program(shim_name, choice.shim);
        chosen.candidates.push_back(look_at_shim(beside));
    } catch (const Error& e) {
        if (!choice.shim.empty()) throw;
        why_nothing = e.message();
    }
    chosen.program = chosen.plain = beside;
    const bool root = ::geteuid() == 0;
    const bool asks_further = choice.shim.empty() && (beside.empty() || (!root && !chosen.candidates[0].in_force()));
    if (asks_further) {
        for (const auto& place : installed_places()) {
            if (place == beside || ::access(place.c_str(), F_OK) != 0) continue;
            chosen.candidates.push_back(look_at_shim(place));
            const auto& installed = chosen.candidates.back();
            if (root ? installed.executable : prefers(installed, beside, cache_file, chosen)) {
                chosen.program = place;
                if (beside.empty()) chosen.plain = place;
            }
            break;  // one installation counts, as one program beside us does
        }
    }
    if (chosen.program.empty()) {
        throw Error(ErrorKind::not_found, why_nothing + (chosen.refused.empty() ? "" : "; " + chosen.refused))
            .with_remedy("install it beside this program, or build it: cmake --build --preset release");
    }
    chosen.rights = root ? ShimRights::root : ShimRights::rootless;
    const auto it = std::find_if(chosen.candidates.begin(), chosen.candidates.end(),
                                 [&](const auto& candidate) { return candidate.path == chosen.program; });
    if (!root && it != chosen.candidates.end() && it->in_force()) chosen.rights = ShimRights::setuid;
    return chosen;
}

}  // namespace locald::backends
