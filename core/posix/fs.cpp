#include "core/posix/fs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::posix {

namespace {

std::string parent_of(const std::string& path) {
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

void replace(const std::string& path, std::string_view text, mode_t mode, bool sync) {
    std::string temp = path + ".XXXXXX";
    UniqueFd file(::mkostemp(temp.data(), O_CLOEXEC));
    if (!file) throw_errno(errno, "create ", temp);
    try {
        write_all(file, text, temp);
        if (::fchmod(file.get(), mode) != 0) throw_errno(errno, "chmod ", temp);
        if (sync && ::fsync(file.get()) != 0) throw_errno(errno, "fsync ", temp);
        if (::rename(temp.c_str(), path.c_str()) != 0) throw_errno(errno, "rename ", temp, " to ", path);
    } catch (...) {
        ::unlink(temp.c_str());
        throw;
    }
    if (!sync) return;
    const UniqueFd dir = open(parent_of(path), O_RDONLY | O_DIRECTORY);
    if (::fsync(dir.get()) != 0) throw_errno(errno, "fsync ", parent_of(path));
}

struct DirCloser {
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, DirCloser>;

std::vector<std::string> read_names(DIR* stream) {
    std::vector<std::string> names;
    for (const dirent* entry = nullptr; (entry = ::readdir(stream)) != nullptr;) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    return names;
}

/// Opens the directory `name` in `dir` for reading, giving its owner the rights back where a container took them.
UniqueFd open_for_removal(int dir, const std::string& name) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd fd(::openat(dir, name.c_str(), flags));
    if (fd || errno != EACCES) return fd;
    // fchmodat without AT_SYMLINK_NOFOLLOW would follow a link that replaced the directory; a path descriptor can't be
    // swapped.
    const UniqueFd pinned(::openat(dir, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!pinned) return {};
    if (::chmod(("/proc/self/fd/" + std::to_string(pinned.get())).c_str(), S_IRWXU) != 0) {
        errno = EACCES;
        return {};
    }
    return UniqueFd(::openat(dir, name.c_str(), flags));
}

void remove_entry(int dir, const std::string& name, const std::string& shown);

void remove_children(UniqueFd fd, const std::string& shown) {
    const int number = fd.get();
    const Dir stream(::fdopendir(number));
    if (!stream) throw_errno(errno, "read directory ", shown);
    static_cast<void>(fd.release());
    const std::string before = shown + "/";
    for (const auto& child : read_names(stream.get())) remove_entry(number, child, before + child);
}

void remove_entry(int dir, const std::string& name, const std::string& shown) {
    if (::unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return;
    if (errno != EISDIR && errno != EPERM && errno != EACCES) throw_errno(errno, "remove ", shown);
    const int unlink_error = errno;
    if (::unlinkat(dir, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return;
    if (errno == ENOTDIR) throw_errno(unlink_error, "remove ", shown);
    UniqueFd fd = open_for_removal(dir, name);
    if (!fd) {
        if (errno == ENOENT) return;
        throw_errno(errno == ENOTDIR ? unlink_error : errno, "remove ", shown);
    }
    remove_children(std::move(fd), shown);
    if (::unlinkat(dir, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) throw_errno(errno, "remove ", shown);
}

}  // namespace

std::vector<std::string> names_in(const std::string& directory) {
    const Dir stream(::opendir(directory.c_str()));
    if (!stream && errno == ENOENT) return {};
    if (!stream) throw_errno(errno, "read directory ", directory);
    auto names = read_names(stream.get());
    std::sort(names.begin(), names.end());
    return names;
}

std::string read_all(const UniqueFd& fd, std::string_view what, std::size_t most) {
    std::string text;
    std::array<char, 16384> block{};
    for (;;) {
        const ssize_t n = ::read(fd.get(), block.data(), block.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "read ", what);
        if (n == 0) return text;
        struct stat st {};
        if (text.empty() && static_cast<std::size_t>(n) == block.size() && ::fstat(fd.get(), &st) == 0 &&
            st.st_size > 0) {
            text.reserve(std::min(static_cast<std::size_t>(st.st_size), most) + block.size());
        }
        text.append(block.data(), static_cast<std::size_t>(n));
        if (text.size() > most) {
            throw Error(ErrorKind::invalid,
                        "read " + std::string(what) + ": longer than " + std::to_string(most) + " bytes");
        }
    }
}

std::string read_file(const std::string& path, std::size_t most) { return read_all(open(path, O_RDONLY), path, most); }

void write_all(const UniqueFd& fd, std::string_view text, std::string_view what) {
    while (!text.empty()) {
        const ssize_t n = ::write(fd.get(), text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno(errno, "write ", what);
        text.remove_prefix(static_cast<std::size_t>(n));
    }
}

void replace_file(const std::string& path, std::string_view text, mode_t mode) { replace(path, text, mode, true); }

void replace_file_unsynced(const std::string& path, std::string_view text, mode_t mode) {
    replace(path, text, mode, false);
}

void make_directories(const std::string& path, mode_t mode) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string part = path.substr(0, end);
        if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) {
            const int err = errno;
            struct stat st {};
            // A read-only or foreign parent that exists answers EROFS or EACCES instead of EEXIST.
            if (::stat(part.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) throw_errno(err, "create directory ", part);
        }
        if (end == std::string::npos) break;
    }
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) throw_errno(errno, "create directory ", path);
    if (!S_ISDIR(st.st_mode)) throw_errno(ENOTDIR, "create directory ", path);
}

void remove_tree_at(const UniqueFd& dir, const std::string& name) { remove_entry(dir.get(), name, name); }

void remove_tree(const std::string& path) { remove_entry(AT_FDCWD, path, path); }

std::string canonical_path(const std::string& path) {
    struct Free {
        void operator()(char* p) const noexcept { std::free(p); }  // NOLINT: realpath's malloc
    };
    const std::unique_ptr<char, Free> resolved(::realpath(path.c_str(), nullptr));
    if (!resolved) throw_errno(errno, "resolve ", path);
    return resolved.get();
}

}  // namespace locald::posix
