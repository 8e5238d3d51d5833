#include "shim/cgroup/dir.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::shim {

namespace {

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
// Deeper trees than this are not walked: nobody makes them but a payload that wants to exhaust us.
constexpr int deepest = 64;

void collect(const CgroupDir& dir, int depth, std::vector<pid_t>& pids) {
    const auto own = dir.processes();
    pids.insert(pids.end(), own.begin(), own.end());
    if (depth == deepest) return;
    for (const auto& name : dir.children()) {
        const auto child = dir.child(name);
        if (child) collect(child, depth + 1, pids);
    }
}

}  // namespace

CgroupDir CgroupDir::root_of(const CgroupMount& mount) {
    posix::UniqueFd fd(::open(mount.mount_point.c_str(), directory_flags));
    struct statfs fs {};
    if (!fd || ::fstatfs(fd.get(), &fs) != 0) return {};
    if (fs.f_type != (mount.v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC)) {
        errno = ENOENT;
        return {};
    }
    return {std::move(fd), mount.mount_point};
}

CgroupDir CgroupDir::open(const CgroupHost& host, const std::string& path) {
    const CgroupMount* mount = host.of(path);
    if (mount == nullptr) return {};
    CgroupDir dir = root_of(*mount);
    for (const auto part : split(std::string_view(path).substr(mount->mount_point.size()), '/')) {
        if (part.empty()) continue;
        if (!dir || part == "." || part == "..") return {};
        dir = dir.child(std::string(part));
    }
    return dir;
}

CgroupDir CgroupDir::share() const {
    posix::UniqueFd copy(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) throw_errno(errno, "share ", path_);
    return {std::move(copy), path_};
}

CgroupDir CgroupDir::child(const std::string& name) const {
    posix::UniqueFd fd(::openat(fd_.get(), name.c_str(), directory_flags));
    if (!fd) return {};
    return {std::move(fd), path_ + "/" + name};
}

int CgroupDir::make(const std::string& name) const {
    constexpr mode_t mode = 0755;
    return ::mkdirat(fd_.get(), name.c_str(), mode) == 0 ? 0 : errno;
}

int CgroupDir::remove(const std::string& name) const {
    return ::unlinkat(fd_.get(), name.c_str(), AT_REMOVEDIR) == 0 ? 0 : errno;
}

std::vector<std::string> CgroupDir::children() const { return names(DT_DIR); }
std::vector<std::string> CgroupDir::files() const { return names(DT_REG); }

std::vector<std::string> CgroupDir::names(unsigned char type) const {
    struct Close {
        void operator()(DIR* dir) const noexcept { ::closedir(dir); }
    };
    std::vector<std::string> names;
    posix::UniqueFd copy(::openat(fd_.get(), ".", directory_flags));
    if (!copy) return names;
    const std::unique_ptr<DIR, Close> stream(::fdopendir(copy.get()));
    if (!stream) return names;
    static_cast<void>(copy.release());
    while (const dirent* entry = ::readdir(stream.get())) {
        const std::string_view name = entry->d_name;
        if (entry->d_type == type && name != "." && name != "..") names.emplace_back(name);
    }
    return names;
}

bool CgroupDir::has(const std::string& file) const {
    struct stat st {};
    return ::fstatat(fd_.get(), file.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

std::optional<std::string> CgroupDir::read(const std::string& file) const {
    const posix::UniqueFd fd(::openat(fd_.get(), file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return std::nullopt;
    std::string text;
    std::array<char, 4096> block{};
    for (;;) {
        const ssize_t n = ::read(fd.get(), block.data(), block.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return std::nullopt;
        if (n == 0) return text;
        text.append(block.data(), static_cast<std::size_t>(n));
    }
}

int CgroupDir::write(const std::string& file, const std::string& text) const {
    const posix::UniqueFd fd(::openat(fd_.get(), file.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return errno;
    while (::write(fd.get(), text.data(), text.size()) < 0) {
        if (errno != EINTR) return errno;
    }
    return 0;
}

bool CgroupDir::writable(const std::string& file) const {
    return ::faccessat(fd_.get(), ".", W_OK | X_OK, AT_EACCESS) == 0 &&
           ::faccessat(fd_.get(), file.c_str(), W_OK, AT_EACCESS) == 0;
}

std::vector<pid_t> CgroupDir::processes() const {
    auto text = read("cgroup.procs");
    // A threaded cgroup does not list processes (EOPNOTSUPP); its threads do for every use here.
    if (!text) text = read("cgroup.threads");
    std::vector<pid_t> pids;
    if (!text) return pids;
    for (const auto line : split(*text, '\n')) {
        const auto pid = parse_u64(line);
        if (pid && *pid != 0) pids.push_back(static_cast<pid_t>(*pid));  // 0: of an outer pid namespace
    }
    return pids;
}

std::vector<pid_t> CgroupDir::all_processes() const {
    std::vector<pid_t> pids;
    collect(*this, 0, pids);
    return pids;
}

std::optional<std::uint64_t> CgroupDir::value(const std::string& file, std::string_view key) const {
    const auto text = read(file);
    if (!text) return std::nullopt;
    for (const auto line : split(*text, '\n')) {
        const auto space = line.find(' ');
        if (space != std::string_view::npos && line.substr(0, space) == key) return parse_u64(line.substr(space + 1));
    }
    return std::nullopt;
}

}  // namespace locald::shim
