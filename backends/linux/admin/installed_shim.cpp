#include "backends/linux/admin/installed_shim.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "backends/linux/admin/root_files.hpp"
#include "backends/linux/shim_program.hpp"
#include "core/base/error.hpp"
#include "core/base/sha256.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::backends::admin {

namespace {

const std::string shim_name = "locald-shim";
const std::string new_name = ".locald-shim.new";
const std::string lock_name = ".lock";
const std::string made_name = ".made";

/// How the installed file has to be.
struct Wanted {
    std::string digest;  ///< the whole of it, hex
    gid_t group = 0;
    mode_t mode = 0;
};

struct DirCloser {
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

std::vector<std::string> names_in(const posix::UniqueFd& dir) {
    std::vector<std::string> names;
    posix::UniqueFd again = posix::openat(dir, ".", O_RDONLY | O_DIRECTORY);
    const std::unique_ptr<DIR, DirCloser> stream(::fdopendir(again.get()));
    if (!stream) throw_errno(errno, "read directory");
    static_cast<void>(again.release());
    for (const dirent* entry = nullptr; (entry = ::readdir(stream.get())) != nullptr;) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

/// A regular file, opened without following a link; nothing when there is none of this name.
posix::UniqueFd open_regular(const posix::UniqueFd& dir, const std::string& name) {
    posix::UniqueFd file(::openat(dir.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file && errno == ENOENT) return file;
    if (!file && errno == ELOOP) {
        throw Error(ErrorKind::denied, name + " there is a symbolic link").with_remedy("remove it");
    }
    if (!file) throw_errno(errno, "open ", name);
    if (!S_ISREG(posix::fstat(file, name).st_mode)) {
        throw Error(ErrorKind::denied, name + " there is no regular file").with_remedy("remove it");
    }
    return file;
}

posix::UniqueFd open_version(const posix::UniqueFd& base, const std::string& name) {
    return posix::UniqueFd(::openat(base.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/// Takes the setuid bit alone: who may execute it is what group_of_installed finds when we are killed now.
void strip(const posix::UniqueFd& file, const std::string& name) {
    if (::fchmod(file.get(), posix::fstat(file, name).st_mode & 0777U) != 0) throw_errno(errno, "chmod ", name);
}

/// Without its setuid bit first: whoever has another name of the file is left with a program without rights.
/// @param keep  the inode that is to stay as it is: a killed setup leaves more than one name of it
void strip_and_unlink(const posix::UniqueFd& dir, const std::string& name, ino_t keep = 0) {
    const auto file = open_regular(dir, name);
    if (!file) return;
    if (posix::fstat(file, name).st_ino != keep) strip(file, name);
    if (::unlinkat(dir.get(), name.c_str(), 0) != 0) throw_errno(errno, "remove ", name);
}

/// The temporary file becomes `name`. What was there is exchanged for it, and so still has a name when its bit goes:
/// a kill in between leaves it for the next call, which looks for it.
void put_in_place(const posix::UniqueFd& dir, const std::string& name) {
    const auto rename = [&](unsigned flags) {
        return ::syscall(SYS_renameat2, dir.get(), new_name.c_str(), dir.get(), name.c_str(), flags) == 0;
    };
    if (!rename(RENAME_NOREPLACE)) {
        const auto old = open_regular(dir, name);
        if (!rename(RENAME_EXCHANGE)) {  // not every file system can
            if (!rename(0)) throw_errno(errno, "rename ", new_name);
            if (old) strip(old, name);
        }
        sync(dir, name);
        strip_and_unlink(dir, new_name);
    }
    sync(dir, name);
}

/// The inode of `name` when it is as wanted, else 0.
ino_t inode_if(const posix::UniqueFd& dir, const std::string& name, const Wanted& wanted) {
    if (!dir) return 0;
    const auto file = open_regular(dir, name);
    if (!file) return 0;
    const auto st = posix::fstat(file, name);
    const bool right = st.st_uid == 0 && st.st_gid == wanted.group && (st.st_mode & 07777) == wanted.mode;
    return right && sha256_of(posix::read_all(file, name)).hex() == wanted.digest ? st.st_ino : 0;
}

/// Names in the base that an older setup, or a killed one, left.
std::vector<std::string> leftovers(const posix::UniqueFd& base, const std::string& version_dir) {
    std::vector<std::string> found;
    for (const auto& name : names_in(base)) {
        if (name == shim_name || name == lock_name) continue;
        const auto dir = open_version(base, name);
        if (name == new_name) found.push_back(name);
        if (!dir) continue;
        if (name != version_dir && open_regular(dir, shim_name))
            found.push_back(std::string(name).append("/").append(shim_name));
        if (open_regular(dir, new_name)) found.push_back(std::string(name).append("/").append(new_name));
    }
    return found;
}

void remove_leftovers(const posix::UniqueFd& base, const std::string& version_dir, ino_t keep) {
    strip_and_unlink(base, new_name, keep);
    for (const auto& name : names_in(base)) {
        const auto dir = open_version(base, name);
        if (!dir) continue;
        strip_and_unlink(dir, new_name, keep);
        if (name == version_dir) continue;
        strip_and_unlink(dir, shim_name, keep);
        // What somebody else put there keeps the directory.
        if (::unlinkat(base.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOTEMPTY) {
            throw_errno(errno, "remove ", name);
        }
    }
}

void install(const std::string& base_path, const std::string& version_dir, const std::string& bytes,
             const Wanted& wanted) {
    const auto base = open_root_directory(base_path, true);
    const auto dir = open_root_directory(base_path + "/" + version_dir, true);
    if (inode_if(dir.fd, shim_name, wanted) == 0) {
        static_cast<void>(open_regular(dir.fd, shim_name));  // no link, no directory
        write_temporary(dir.fd, new_name, bytes, wanted.mode, wanted.group);
        put_in_place(dir.fd, shim_name);
    }
    sync(base.fd, base_path);
    const ino_t inode = inode_if(dir.fd, shim_name, wanted);
    if (inode_if(base.fd, shim_name, wanted) != inode) {
        strip_and_unlink(base.fd, new_name, inode);
        if (::linkat(dir.fd.get(), shim_name.c_str(), base.fd.get(), new_name.c_str(), 0) != 0) {
            throw_errno(errno, "link ", shim_name);
        }
        put_in_place(base.fd, shim_name);
    }
    remove_leftovers(base.fd, version_dir, inode);
    sync(base.fd, base_path);
}

/// @throws Error for a mount that takes the setuid bit or the program itself away
void check_mount(const posix::UniqueFd& dir, const std::string& path) {
    struct statvfs fs {};
    if (::fstatvfs(dir.get(), &fs) != 0) throw_errno(errno, "statvfs ", path);
    for (const auto& [flag, name] : {std::pair(ST_NOSUID, "nosuid"), std::pair(ST_NOEXEC, "noexec")}) {
        if ((fs.f_flag & static_cast<unsigned long>(flag)) == 0) continue;
        throw Error(ErrorKind::denied, path + " is on a mount with " + name + ", where a setuid program is none")
            .with_remedy("choose another place with --prefix");
    }
}

/// @throws Error for a group that was removed while the installed shim still is its members'
std::string name_of_group(gid_t id, const std::string& base_path) {
    const group* found = ::getgrgid(id);
    if (found != nullptr) return found->gr_name;
    throw Error(ErrorKind::not_found, "the locald-shim in " + base_path + " is for the members of group " +
                                          std::to_string(id) + " alone, and there is no group of that number any more")
        .with_remedy("say whose it is now: sudo locald admin setup --group NAME");
}

gid_t id_of_group(const std::string& name) {
    const group* found = ::getgrnam(name.c_str());
    if (found == nullptr) {
        throw Error(ErrorKind::not_found, "there is no group " + json_quote(name))
            .with_remedy(parse_u64(name) ? "give a name and no number: getent group lists them"
                                         : "make it: sudo groupadd --system " + name);
    }
    return found->gr_gid;
}

/// Directories above the base, where they are empty.
void remove_made(const std::string& made, const std::string& base_path) {
    auto paths = split(made, '\n');
    std::reverse(paths.begin(), paths.end());
    for (const auto part : paths) {
        const std::string path(part);
        if (path.empty() || !base_path.starts_with(path + "/")) continue;
        const auto parent = open_root_directory(parent_of(path), false);
        if (parent.exists) ::unlinkat(parent.fd.get(), name_of(path).c_str(), AT_REMOVEDIR);
    }
}

/// One line on what `status` found in a base that is there.
std::string what_is_wrong(const RootDirectory& base, const std::string& base_path, const std::string& version_dir,
                          const Wanted& wanted, const ShimSource& source) {
    const std::string path = base_path + "/" + shim_name;
    const auto file = open_regular(base.fd, shim_name);
    if (!file) return path + " is not there";
    if (sha256_of(posix::read_all(file, path)).hex() != wanted.digest) {
        return path + " is of another build than " + source.path;
    }
    const auto st = posix::fstat(file, path);
    if (st.st_uid != 0 || st.st_gid != wanted.group || (st.st_mode & 07777) != wanted.mode) {
        std::array<char, 8> mode{};
        std::snprintf(mode.data(), mode.size(), "%04o", st.st_mode & 07777);
        return path + " belongs to " + std::to_string(st.st_uid) + ":" + std::to_string(st.st_gid) + " with mode " +
               mode.data();
    }
    if (!leftovers(base.fd, version_dir).empty()) {
        return base_path + " still has " + leftovers(base.fd, version_dir).front() + " of an older setup";
    }
    return path + " is another file than " + base_path + "/" + version_dir + "/" + shim_name;
}

}  // namespace

ShimSource read_shim_source(const std::string& given) {
    ShimSource source;
    source.path = find_program(shim_name, given);
    source.bytes = posix::read_file(source.path);
    source.short_digest = sha256_of(source.bytes).hex().substr(0, 12);
    Shim(source.path, "/").ask_version();
    return source;
}

std::string group_of_installed(const Work& work) {
    const auto base = open_root_directory(work.base(), false);
    if (!base.exists) return {};
    const auto group_of = [](const posix::UniqueFd& dir, const std::string& name) -> std::optional<gid_t> {
        const auto file = open_regular(dir, name);
        if (!file) return std::nullopt;
        const auto st = posix::fstat(file, name);
        // A temporary file is closed to others before it is anybody's.
        const bool counts = st.st_uid == 0 && (st.st_mode & S_IXOTH) == 0 && (name != new_name || st.st_gid != 0);
        return counts ? std::optional(st.st_gid) : std::nullopt;
    };
    // Each name that we give, with the setuid bit or without: root may have taken the bit or one of them away, and a
    // kill in the middle of `remove` or `setup` leaves some.
    std::optional<gid_t> found = group_of(base.fd, shim_name);
    if (!found) found = group_of(base.fd, new_name);
    for (const auto& name : names_in(base.fd)) {
        const auto dir = found ? posix::UniqueFd() : open_version(base.fd, name);
        if (dir) found = group_of(dir, shim_name);
        if (dir && !found) found = group_of(dir, new_name);
    }
    return found ? name_of_group(*found, work.base()) : std::string();
}

void make_base(const Work& work) {
    std::vector<std::string> made;
    open_root_directory(work.base(), true, &made);
    std::erase(made, work.base());
    std::string text;
    for (const auto& path : made) text.append(path).append("\n");
    if (!text.empty()) write_root_file(work.base() + "/" + made_name, text);
}

void see_to_shim(const Work& work, const ShimSource& source, const std::string& needs_group) {
    const std::string base_path = work.base();
    const std::string version_dir = std::string(version) + "-" + source.short_digest;
    in_step((work.looks() ? "look at " : "install ") + base_path + "/" + shim_name, [&] {
        const auto base = open_root_directory(base_path, false);
        check_mount(base.fd, base_path);
        std::string group = work.options().group;
        // One that root gave to a group is not opened to everybody by the way.
        const bool kept = group.empty() && !(group = group_of_installed(work)).empty();
        if (group.empty() && !needs_group.empty() && !work.looks()) {
            throw Error(ErrorKind::denied,
                        needs_group + ", and a setuid shim gives them back to whoever may execute it")
                .with_remedy("say who may: sudo locald admin setup --group GROUP");
        }
        Wanted wanted;
        wanted.digest = sha256_of(source.bytes).hex();
        wanted.group = group.empty() ? 0 : id_of_group(group);
        wanted.mode = group.empty() ? 04755 : 04750;
        bool is_so = false;
        std::string lack = base_path + "/" + shim_name + " is not there";
        if (base.exists) {
            const auto dir = open_version(base.fd, version_dir);
            const ino_t stable = inode_if(base.fd, shim_name, wanted);
            is_so =
                stable != 0 && stable == inode_if(dir, shim_name, wanted) && leftovers(base.fd, version_dir).empty();
            if (!is_so) lack = what_is_wrong(base, base_path, version_dir, wanted, source);
        }
        const std::string who = group.empty() ? "root:root, mode 4755" : "root:" + group + ", mode 4750";
        work.see_to("shim.installed", is_so,
                    {base_path + "/" + shim_name + " is " + version_dir + ", " + who +
                         (group.empty() ? "" : ": only members of the group may run it") +
                         (kept ? ", as of the one that was there" : ""),
                     lack},
                    "sudo locald admin remove", [&] { install(base_path, version_dir, source.bytes, wanted); });
    });
}

void remove_shim(const Work& work) {
    const std::string base_path = work.base();
    in_step("remove " + base_path, [&] {
        const auto base = open_root_directory(base_path, false);
        const bool there = base.exists && (open_regular(base.fd, shim_name) || !leftovers(base.fd, {}).empty());
        work.see_away("shim.installed", !there, base_path + "/" + shim_name, "sudo locald admin setup", [&] {
            // The name that it is found by goes first.
            strip_and_unlink(base.fd, shim_name);
            remove_leftovers(base.fd, {}, 0);
            ::unlinkat(base.fd.get(), lock_name.c_str(), 0);
            const std::string made = read_root_file(base_path + "/" + made_name).value_or("");
            ::unlinkat(base.fd.get(), made_name.c_str(), 0);
            const auto parent = open_root_directory(parent_of(base_path), false);
            if (::unlinkat(parent.fd.get(), name_of(base_path).c_str(), AT_REMOVEDIR) != 0 && errno != ENOTEMPTY) {
                throw_errno(errno, "remove ", base_path);
            }
            remove_made(made, base_path);
        });
    });
}

}  // namespace locald::backends::admin
