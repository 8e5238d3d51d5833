#include "core/host/directories.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/base/error.hpp"
#include "core/host/handle.hpp"

namespace locald::host {

namespace {

/// A variable that holds an absolute path; anything else counts as not set (XDG base directory specification).
std::string absolute_path_in(const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && value[0] == '/' ? std::string(value) : std::string();
}

std::string home_directory() {
    if (auto home = absolute_path_in("HOME"); !home.empty()) return home;
    passwd entry{};
    passwd* found = nullptr;
    std::vector<char> buffer(16384);
    const int err = ::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr || found->pw_dir == nullptr || found->pw_dir[0] != '/') {
        Error error(ErrorKind::not_found, "find the home directory of user " + std::to_string(::getuid()), err);
        throw error.with_remedy("set HOME");
    }
    return found->pw_dir;
}

void make_parents(const std::string& path) {
    for (auto slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        const std::string parent = path.substr(0, slash);
        if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
            const int err = errno;
            struct stat info {};
            if (::stat(parent.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;  // read-only, but it is there
            throw_errno(err, "make directory ", parent);
        }
    }
}

std::string octal(mode_t mode) {
    char text[16];
    std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777U));
    return text;
}

}  // namespace

std::string data_directory() {
    if (auto data = absolute_path_in("XDG_DATA_HOME"); !data.empty()) return data + "/locald";
    return home_directory() + "/.local/share/locald";
}

std::string config_directory() {
    if (auto config = absolute_path_in("XDG_CONFIG_HOME"); !config.empty()) return config + "/locald";
    return home_directory() + "/.config/locald";
}

std::string runtime_directory() {
    const auto uid = ::geteuid();
    if (uid == 0) return "/run/locald/0";
    if (auto runtime = absolute_path_in("XDG_RUNTIME_DIR"); !runtime.empty()) return runtime + "/locald";
    return "/tmp/locald-" + std::to_string(uid);
}

void ensure_private_directory(const std::string& path) {
    std::string clean = path;
    while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
    make_parents(clean);
    if (::mkdir(clean.c_str(), 0700) != 0 && errno != EEXIST) throw_errno(errno, "make directory ", clean);

    // Looked at through one descriptor, so that what is judged is what the name led to, and never a link's target.
    const Handle dir(::open(clean.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) {
        if (errno == ENOTDIR || errno == ELOOP) {
            throw Error(ErrorKind::denied, "use directory " + clean + ": it is a link or no directory")
                .with_remedy("remove it");
        }
        throw_errno(errno, "use directory ", clean);
    }
    struct stat info {};
    if (::fstat(dir.get(), &info) != 0) throw_errno(errno, "look at directory ", clean);
    if (info.st_uid != ::geteuid()) {
        throw Error(ErrorKind::denied, "use directory " + clean + ": it belongs to user " +
                                           std::to_string(info.st_uid) + ", not to user " + std::to_string(::geteuid()))
            .with_remedy("remove it or have its owner remove it");
    }
    if ((info.st_mode & 0777U) != 0700U) {
        throw Error(ErrorKind::denied, "use directory " + clean + ": its mode is " + octal(info.st_mode) + ", not 0700")
            .with_remedy("check what is in it, then `chmod 700 " + clean + "`");
    }
}

std::string own_executable() {
    std::string path(PATH_MAX, '\0');
    const auto length = ::readlink("/proc/self/exe", path.data(), path.size());
    if (length < 0) throw_errno(errno, "find this program's own file (/proc/self/exe)");
    path.resize(static_cast<std::size_t>(length));
    // The kernel's mark when the file was replaced while we run; the new one has the old name.
    constexpr std::string_view mark = " (deleted)";
    if (path.ends_with(mark)) path.resize(path.size() - mark.size());
    return path;
}

}  // namespace locald::host
