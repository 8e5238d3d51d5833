#include "core/image/attributes.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

constexpr std::string_view capability_xattr = "security.capability";

bool has_capability(unsigned capability) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
    return (data[capability / 32].effective & (1U << (capability % 32))) != 0;
}

void set_xattrs(int fd, const Attributes& attributes, Losses& losses, const std::string& shown) {
    for (const auto& [name, value] : attributes.xattrs) {
        if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
        if (name == capability_xattr && (errno == EPERM || errno == EINVAL || errno == EOPNOTSUPP)) {
            ++losses.capabilities;
        } else if (errno == EOPNOTSUPP || errno == EPERM || errno == E2BIG || errno == ERANGE) {
            ++losses.xattrs;
        } else {
            throw_errno(errno, "set attribute ", name, " of ", shown);
        }
    }
}

std::string counted(std::uint64_t count, const char* one, const char* more) {
    return std::to_string(count) + (count == 1 ? one : more);
}

}  // namespace

Losses& Losses::operator+=(const Losses& more) noexcept {
    owners += more.owners;
    devices += more.devices;
    forgeries += more.forgeries;
    xattrs += more.xattrs;
    capabilities += more.capabilities;
    return *this;
}

std::vector<std::string> Losses::sentences() const {
    std::vector<std::string> lines;
    if (owners != 0) {
        lines.push_back(counted(owners, " entry lost its owner", " entries lost their owner") +
                        " to root, because this user's id map has no place for it: programs that change their user may "
                        "fail; grants in /etc/subuid and /etc/subgid with newuidmap give them one");
    }
    if (devices != 0) {
        lines.push_back(counted(devices, " device node was", " device nodes were") +
                        " left out: only root of the host can make them");
    }
    if (forgeries != 0) {
        lines.push_back(counted(forgeries, " device node 0:0 was", " device nodes 0:0 were") +
                        " left out: it would hide files of lower layers");
    }
    if (xattrs != 0) {
        lines.push_back(counted(xattrs, " extended attribute was", " extended attributes were") +
                        " left out: the store's file system does not take it");
    }
    if (capabilities != 0) {
        lines.push_back(counted(capabilities, " file capability was", " file capabilities were") +
                        " left out: the kernel lets this user set none");
    }
    return lines;
}

std::vector<Owners::Range> Owners::read_map(const char* path) {
    std::istringstream text(posix::read_file(path));
    std::vector<Range> ranges;
    std::uint64_t inside = 0;
    std::uint64_t outside = 0;
    std::uint64_t count = 0;
    while (text >> inside >> outside >> count) ranges.push_back({inside, count});
    return ranges;
}

Owners Owners::of_this_process() {
    Owners owners;
    owners.may_chown_ = has_capability(CAP_CHOWN);
    // Root, but where the only id that is mapped is another one.
    if (owners.may_chown_) owners.own_ = {::geteuid(), ::getegid()};
    owners.uids_ = read_map("/proc/self/uid_map");
    owners.gids_ = read_map("/proc/self/gid_map");
    return owners;
}

std::uint32_t Owners::uid(std::uint64_t wanted, bool& lost) const {
    for (const auto& range : uids_) {
        if (may_chown_ && wanted >= range.first && wanted - range.first < range.count) {
            return static_cast<std::uint32_t>(wanted);
        }
    }
    if (wanted != 0) lost = true;
    return own_.first;
}

std::uint32_t Owners::gid(std::uint64_t wanted, bool& lost) const {
    for (const auto& range : gids_) {
        if (may_chown_ && wanted >= range.first && wanted - range.first < range.count) {
            return static_cast<std::uint32_t>(wanted);
        }
    }
    if (wanted != 0) lost = true;
    return own_.second;
}

bool is_kept_xattr(std::string_view name) noexcept {
    if (name == capability_xattr) return true;
    return name.starts_with("user.") && name.size() <= 255 && !name.starts_with("user.overlay.");
}

Attributes attributes_of(const TarEntry& entry, const Owners& owners, Losses& losses) {
    Attributes attributes;
    bool lost = false;
    attributes.uid = owners.uid(entry.uid, lost);
    attributes.gid = owners.gid(entry.gid, lost);
    if (lost) ++losses.owners;
    attributes.mode = entry.mode;
    attributes.mtime.tv_sec = entry.mtime;
    attributes.mtime.tv_nsec = entry.mtime_nsec;
    attributes.keep_mtime = true;
    for (const auto& [name, value] : entry.xattrs) {
        if (is_kept_xattr(name)) attributes.xattrs.emplace(name, value);
    }
    return attributes;
}

Attributes attributes_of(int fd, const struct stat& st, const std::string& shown) {
    Attributes attributes;
    attributes.uid = st.st_uid;
    attributes.gid = st.st_gid;
    attributes.mode = st.st_mode & 07777U;
    attributes.mtime = st.st_mtim;
    attributes.keep_mtime = true;
    std::array<char, 65536> names{};
    const ssize_t length = ::flistxattr(fd, names.data(), names.size());
    if (length < 0) {
        if (errno == EOPNOTSUPP) return attributes;
        throw_errno(errno, "list attributes of ", shown);
    }
    for (const auto name : split(std::string_view(names.data(), static_cast<std::size_t>(length)), '\0')) {
        if (name.empty() || !is_kept_xattr(name)) continue;
        const std::string key(name);
        std::string value(65536, '\0');
        const ssize_t size = ::fgetxattr(fd, key.c_str(), value.data(), value.size());
        if (size < 0) throw_errno(errno, "read attribute ", key, " of ", shown);
        value.resize(static_cast<std::size_t>(size));
        attributes.xattrs.emplace(key, std::move(value));
    }
    return attributes;
}

void set_attributes(int fd, const Attributes& attributes, const Owners& owners, Losses& losses,
                    const std::string& shown) {
    // What was lost is counted already. A directory that no archive names is root's, who may be nobody here.
    bool known = false;
    // The owner first, for chown clears set-id bits and file capabilities; the times last.
    if (owners.may_chown() && ::fchown(fd, owners.uid(attributes.uid, known), owners.gid(attributes.gid, known)) != 0)
        throw_errno(errno, "chown ", shown);
    if (::fchmod(fd, attributes.mode) != 0) throw_errno(errno, "chmod ", shown);
    set_xattrs(fd, attributes, losses, shown);
    if (!attributes.keep_mtime) return;
    const std::array<timespec, 2> times{attributes.mtime, attributes.mtime};
    if (::futimens(fd, times.data()) != 0) throw_errno(errno, "set the times of ", shown);
}

void set_attributes_at(int directory, const std::string& name, bool symlink, const Attributes& attributes,
                       const Owners& owners, const std::string& shown) {
    bool known = false;
    if (owners.may_chown() && ::fchownat(directory, name.c_str(), owners.uid(attributes.uid, known),
                                         owners.gid(attributes.gid, known), AT_SYMLINK_NOFOLLOW) != 0) {
        throw_errno(errno, "chown ", shown);
    }
    if (!symlink) {
        // fchmodat follows a link that took the name meanwhile; a path descriptor cannot be swapped.
        const posix::UniqueFd pinned(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        if (!pinned) throw_errno(errno, "open ", shown);
        if (S_ISLNK(posix::fstat(pinned, shown).st_mode)) throw_errno(ELOOP, "chmod ", shown);
        if (::chmod(("/proc/self/fd/" + std::to_string(pinned.get())).c_str(), attributes.mode) != 0) {
            throw_errno(errno, "chmod ", shown);
        }
    }
    if (!attributes.keep_mtime) return;
    const std::array<timespec, 2> times{attributes.mtime, attributes.mtime};
    if (::utimensat(directory, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
        throw_errno(errno, "set the times of ", shown);
    }
}

}  // namespace locald::image
