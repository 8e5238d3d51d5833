#include "backends/linux/admin/subids.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "backends/linux/admin/root_files.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/idmap.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends::admin {

namespace {

/// The lock of shadow's own programs (usermod, useradd): a file with our pid in it, linked to `<path>.lock`.
class ShadowLock {
public:
    explicit ShadowLock(const std::string& path) : lock_(path + ".lock") {
        const std::string own = path + "." + std::to_string(::getpid());
        const posix::UniqueFd file = posix::open(own, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, S_IRUSR | S_IWUSR);
        posix::write_all(file, std::to_string(::getpid()) + std::string(1, '\0'), own);
        bool taken = ::link(own.c_str(), lock_.c_str()) == 0;
        if (!taken && errno == EEXIST && is_stale()) {
            ::unlink(lock_.c_str());
            taken = ::link(own.c_str(), lock_.c_str()) == 0;
        }
        ::unlink(own.c_str());
        if (!taken) {
            throw Error(ErrorKind::unavailable, path + " is being changed by another program: " + lock_ + " is there");
        }
    }
    ~ShadowLock() { ::unlink(lock_.c_str()); }
    ShadowLock(const ShadowLock&) = delete;
    ShadowLock& operator=(const ShadowLock&) = delete;

private:
    bool is_stale() const {
        const auto text = read_root_file(lock_).value_or("");
        const auto pid = parse_u64(text.substr(0, text.find('\0')));
        return pid && *pid > 0 && ::kill(static_cast<pid_t>(*pid), 0) != 0 && errno == ESRCH;
    }
    std::string lock_;
};

void append_line(const std::string& path, const std::string& line) {
    const ShadowLock lock(path);
    std::string text = read_root_file(path).value_or("");
    if (!text.empty() && text.back() != '\n') text += '\n';
    struct stat st {};
    const bool there = ::lstat(path.c_str(), &st) == 0;
    write_root_file(path, text + line + "\n", there ? st.st_mode & 0777U : 0644U, there ? st.st_gid : 0);
}

}  // namespace

bool is_local_user(const std::string& passwd, const std::string& name) {
    return ("\n" + passwd).find("\n" + name + ":") != std::string::npos;
}

void tell_shared_ranges(const Work& work) {
    for (const char* path : {"/etc/subuid", "/etc/subgid"}) {
        std::string words;
        for (const auto& overlap : posix::subid_overlaps_in(path)) words += (words.empty() ? "" : ", ") + overlap.str();
        constexpr std::size_t enough = 500;
        if (words.size() > enough) words = words.substr(0, words.rfind(',', enough)) + ", and more";
        if (words.empty()) continue;
        work.note("ids.shared",
                  std::string(path) + ": " + words + ": containers of either can change the other's files",
                  "give one of them a range of his own, as `" + posix::subid_command("USER") +
                      "`, and take the shared line out");
    }
}

void see_to_subids(const Work& work) {
    const char* const name = std::getenv("SUDO_USER");
    const char* const number = std::getenv("SUDO_UID");
    const auto uid = parse_u64(number != nullptr ? number : "");
    if (name == nullptr || !uid || *uid == 0 || *uid >= UINT32_MAX) return;
    if (is_local_user(read_root_file("/etc/passwd").value_or(""), name)) return;
    const std::string subuid = read_root_file("/etc/subuid").value_or("");
    const std::string subgid = read_root_file("/etc/subgid").value_or("");
    const auto range = posix::free_subid_range(subuid, subgid, read_root_file("/etc/login.defs").value_or(""));
    const std::string line =
        range ? std::to_string(*uid) + ":" + std::to_string(range->first) + ":" + std::to_string(range->count)
              : std::string();
    for (const auto& [path, text] : {std::pair("/etc/subuid", &subuid), std::pair("/etc/subgid", &subgid)}) {
        // By number alone: the shim reads /etc/passwd, which has no name for this one.
        const bool there = !posix::parse_subid(*text, "", static_cast<std::uint32_t>(*uid)).empty();
        if (there) {
            work.see_to("ids.subids", true, {std::string(path) + " has a range of user " + std::to_string(*uid), {}},
                        {}, {});
        } else if (!range) {
            work.note("ids.subids", std::string(path) + " has no room for another range of ids");
        } else if (!work.options().write_subids) {
            work.note("ids.subids",
                      "user " + std::to_string(*uid) + " is not in /etc/passwd, and " + path +
                          " has no range of his by number: a container of his has one id (no other account may have "
                          "one of these ids)",
                      "echo " + line + " | sudo tee -a " + path + "   # or: sudo locald admin setup --write-subids");
        } else {
            work.see_to("ids.subids", false, {std::string(path) + " has the line " + line, {}},
                        "remove that line from " + std::string(path), [&] { append_line(path, line); });
        }
    }
}

}  // namespace locald::backends::admin
