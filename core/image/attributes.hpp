#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/image/tar_reader.hpp"

namespace locald::image {

/// What could not be kept, counted so that one line says it all instead of one a file.
struct Losses {
    std::uint64_t owners = 0;        ///< entries whose owner this user namespace has no id for
    std::uint64_t devices = 0;       ///< device nodes not made
    std::uint64_t forgeries = 0;     ///< device nodes 0:0, which overlayfs would take for whiteouts
    std::uint64_t xattrs = 0;        ///< attributes the file system does not take
    std::uint64_t capabilities = 0;  ///< file capabilities the kernel refused
    Losses& operator+=(const Losses& more) noexcept;
    /// One sentence for each kind, with what helps.
    std::vector<std::string> sentences() const;
};

/// The ids that this process can give to files.
class Owners {
public:
    /// From /proc/self/uid_map, gid_map and the effective capabilities.
    static Owners of_this_process();
    /// The id to use: the same one, or this process's own (root's, as a rule) when it has no place here.
    std::uint32_t uid(std::uint64_t wanted, bool& lost) const;
    std::uint32_t gid(std::uint64_t wanted, bool& lost) const;
    /// False: chown is of no use here, everything belongs to this process's user.
    bool may_chown() const noexcept { return may_chown_; }

private:
    struct Range {
        std::uint64_t first = 0, count = 0;
    };
    static std::vector<Range> read_map(const char* path);
    bool may_chown_ = false;
    std::pair<std::uint32_t, std::uint32_t> own_;  ///< who gets what is not mapped
    std::vector<Range> uids_, gids_;
};

/// Owner, mode, xattrs and times of one inode.
struct Attributes {
    std::uint32_t uid = 0, gid = 0;
    std::uint32_t mode = 0755;  ///< 0..07777
    timespec mtime{};
    bool keep_mtime = false;  ///< false: the time of unpacking stays
    std::map<std::string, std::string> xattrs;
};

/// True for the xattrs that a layer may set: `user.*` but overlayfs's own, and `security.capability`.
bool is_kept_xattr(std::string_view name) noexcept;

/// The attributes of an archive's entry, owners as far as they exist here.
Attributes attributes_of(const TarEntry& entry, const Owners& owners, Losses& losses);
/// The attributes of an open file or directory. @param xattrs  read them as well
Attributes attributes_of(int fd, const struct stat& st, const std::string& shown);

/// Sets all of it on an open file or directory in the order that keeps all of it: owner, mode, xattrs, times.
/// @throws Error that names `shown`
void set_attributes(int fd, const Attributes& attributes, const Owners& owners, Losses& losses,
                    const std::string& shown);
/// The same for `name` in `directory`, which is a symlink, a FIFO or a device; links have no mode.
void set_attributes_at(int directory, const std::string& name, bool symlink, const Attributes& attributes,
                       const Owners& owners, const std::string& shown);

}  // namespace locald::image
