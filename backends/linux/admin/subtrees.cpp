#include "backends/linux/admin/subtrees.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends::admin {

namespace {

struct DirCloser {
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

bool is_users(std::string_view name) {
    const std::string_view mark = "user-";
    return name.starts_with(mark) && parse_u64(name.substr(mark.size())).has_value();
}

}  // namespace

std::string limit_subtrees(const std::string& tree, const std::vector<std::string>& controllers,
                           const SharedLimits& limits) {
    const std::unique_ptr<DIR, DirCloser> stream(::opendir(tree.c_str()));
    if (!stream) return {};
    const auto is_new = [&](const char* name) {
        return std::find(controllers.begin(), controllers.end(), name) != controllers.end();
    };
    std::string failed;
    const auto write = [&](const posix::UniqueFd& dir, const std::string& name, const char* file, std::uint64_t limit) {
        const posix::UniqueFd fd(::openat(dir.get(), file, O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
        if (!fd && errno == ENOENT) return;  // the controller could not be had
        const std::string text = std::to_string(limit);
        if (fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return;
        failed.append(failed.empty() ? "" : ", ").append(name).append("/").append(file);
        failed.append(" (" + errno_text(errno) + ")");
    };
    for (const dirent* entry = nullptr; (entry = ::readdir(stream.get())) != nullptr;) {
        const std::string name = entry->d_name;
        if (!is_users(name)) continue;
        const posix::UniqueFd dir(
            ::openat(::dirfd(stream.get()), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!dir) continue;
        if (is_new("pids")) write(dir, name, "pids.max", limits.pids);
        if (is_new("memory") && limits.memory_bytes) write(dir, name, "memory.max", *limits.memory_bytes);
    }
    return failed;
}

}  // namespace locald::backends::admin
