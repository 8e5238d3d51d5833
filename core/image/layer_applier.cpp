#include "core/image/layer_applier.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/base/error.hpp"
#include "core/image/copy_file.hpp"
#include "core/image/layer_path.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_name = ".wh..wh..opq";
constexpr std::string_view aufs_prefix = ".wh..wh.";

class Applier {
public:
    Applier(TarReader& archive, const posix::UniqueFd& root, const LayerTree::Lower& lower, const Owners& owners)
        : archive_(archive), owners_(owners), tree_(root, lower, owners, applied_.losses) {}

    AppliedLayer run() {
        tree_.put_root({});
        if (const auto below = tree_.find_lower("")) {
            const auto model = tree_.lower().open(below->layer, "", O_RDONLY | O_DIRECTORY);
            tree_.put_root(attributes_of(model.get(), below->st, "the root directory"));
        }
        TarEntry entry;
        while (archive_.next(entry)) {
            ++applied_.entries;
            apply(entry);
        }
        tree_.finish();
        return applied_;
    }

private:
    using Directory = LayerTree::Directory;

    void apply(const TarEntry& entry) {
        auto components = layer_components(entry.name);
        if (components.empty()) {
            if (entry.type != TarType::directory) {
                throw Error(ErrorKind::corrupt, "entry " + entry.name + ": the root must stay a directory");
            }
            tree_.put_root(attributes_of(entry, owners_, applied_.losses));
            return;
        }
        const std::string name = std::move(components.back());
        components.pop_back();
        if (name.starts_with(whiteout_prefix)) {
            hide(*tree_.directory(components), name, entry.name);
            return;
        }
        const auto parent = tree_.directory(components);
        switch (entry.type) {
            case TarType::directory:
                tree_.put_directory(*parent, name, attributes_of(entry, owners_, applied_.losses));
                return;
            case TarType::regular:
                make_file(*parent, name, entry);
                return;
            case TarType::hard_link:
                make_hard_link(*parent, name, entry);
                return;
            case TarType::symlink:
                make(*parent, name, entry,
                     [&] { return ::symlinkat(entry.link.c_str(), parent->fd.get(), name.c_str()); });
                tree_.forget_links();
                break;
            case TarType::fifo:
                make(*parent, name, entry, [&] { return ::mkfifoat(parent->fd.get(), name.c_str(), S_IRUSR); });
                break;
            case TarType::character:
            case TarType::block:
                if (!make_device(*parent, name, entry)) return;
                break;
        }
        set_attributes_at(parent->fd.get(), name, entry.type == TarType::symlink,
                          attributes_of(entry, owners_, applied_.losses), owners_, entry.name);
    }

    void hide(const Directory& parent, const std::string& name, const std::string& shown) {
        if (name == opaque_name) {
            tree_.hide_below(parent);
            return;
        }
        if (name.starts_with(aufs_prefix)) return;  // what AUFS kept for itself
        const std::string hidden = name.substr(whiteout_prefix.size());
        if (hidden.empty() || hidden == "." || hidden == "..") {
            throw Error(ErrorKind::corrupt, "entry " + shown + ": a whiteout without a name");
        }
        tree_.hide(parent, hidden);
    }

    /// Runs `call`; when something of this layer is in the way, that goes first: the last entry of a name wins.
    template <class Call>
    int make(const Directory& parent, const std::string& name, const TarEntry& entry, Call&& call) {
        for (int tries = 0;; ++tries) {
            const int result = call();
            if (result >= 0) return result;
            if (errno == EINTR) continue;
            if (errno != EEXIST || tries >= 8) throw_errno(errno, "create ", entry.name);
            tree_.remove_own(parent, name);
        }
    }

    posix::UniqueFd create_file(const Directory& parent, const std::string& name, const TarEntry& entry) {
        return posix::UniqueFd(make(parent, name, entry, [&] {
            return ::openat(parent.fd.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                            S_IRUSR | S_IWUSR);
        }));
    }

    void make_file(const Directory& parent, const std::string& name, const TarEntry& entry) {
        const posix::UniqueFd file = create_file(parent, name, entry);
        std::size_t range = 0;
        std::uint64_t in_range = 0;
        std::uint64_t at = 0;
        for (auto piece = archive_.content(); !piece.empty();) {
            std::size_t count = piece.size();
            if (entry.sparse) {
                while (in_range == entry.ranges[range].length) {
                    ++range;  // the stored bytes fill the ranges exactly, the reader saw to that
                    in_range = 0;
                }
                at = entry.ranges[range].offset + in_range;
                count = static_cast<std::size_t>(std::min<std::uint64_t>(count, entry.ranges[range].length - in_range));
            }
            write_at(file, piece.first(count), at, entry.name);
            at += count;
            in_range += count;
            applied_.bytes += count;
            piece = piece.subspan(count);
            if (piece.empty()) piece = archive_.content();
        }
        if (entry.sparse && ::ftruncate(file.get(), static_cast<off_t>(entry.size)) != 0) {
            throw_errno(errno, "set the size of ", entry.name);
        }
        set_attributes(file.get(), attributes_of(entry, owners_, applied_.losses), owners_, applied_.losses,
                       entry.name);
    }

    static void write_at(const posix::UniqueFd& file, std::span<const std::byte> bytes, std::uint64_t at,
                         const std::string& shown) {
        while (!bytes.empty()) {
            const ssize_t n = ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) throw_errno(errno, "write ", shown);
            bytes = bytes.subspan(static_cast<std::size_t>(n));
            at += static_cast<std::uint64_t>(n);
        }
    }

    void make_hard_link(const Directory& parent, const std::string& name, const TarEntry& entry) {
        const std::string shown = entry.name + " to " + entry.link;
        auto components = layer_components(entry.link);
        if (components.empty()) throw Error(ErrorKind::corrupt, "hard link " + shown + ": the target is a directory");
        const std::string target = std::move(components.back());
        components.pop_back();
        const auto target_parent = tree_.directory(components);
        struct stat st {};
        if (::fstatat(target_parent->fd.get(), target.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno != ENOENT) throw_errno(errno, "hard link ", shown);
            copy_up(*target_parent, target, shown);
        } else if (is_whiteout(st) || S_ISDIR(st.st_mode)) {
            throw Error(ErrorKind::corrupt, "hard link " + shown + ": the target is " +
                                                (S_ISDIR(st.st_mode) ? "a directory" : "removed by the layer"));
        } else {
            struct stat old {};
            if (::fstatat(parent.fd.get(), name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 && old.st_ino == st.st_ino) {
                return;  // the same file already; making room for it would remove it
            }
        }
        // What carries the link's name is no part of the target's inode, so its attributes stay as they are.
        make(parent, name, entry,
             [&] { return ::linkat(target_parent->fd.get(), target.c_str(), parent.fd.get(), name.c_str(), 0); });
    }

    /// Brings a file of a lower layer into this one, so that a name of this layer can be a link to it.
    void copy_up(const Directory& parent, const std::string& name, const std::string& shown) {
        const std::string path = join_path(parent.path, name);
        const auto below = tree_.find_lower(path);
        if (!below) throw Error(ErrorKind::corrupt, "hard link " + shown + ": the target does not exist");
        if (S_ISLNK(below->st.st_mode)) {
            const std::string target = tree_.lower().read_link(*below, path);
            if (::symlinkat(target.c_str(), parent.fd.get(), name.c_str()) != 0) throw_errno(errno, "create ", path);
            Attributes attributes;
            attributes.uid = below->st.st_uid;
            attributes.gid = below->st.st_gid;
            attributes.mtime = below->st.st_mtim;
            attributes.keep_mtime = true;
            set_attributes_at(parent.fd.get(), name, true, attributes, owners_, path);
            return;
        }
        if (!S_ISREG(below->st.st_mode)) {
            throw Error(ErrorKind::corrupt, "hard link " + shown + ": the target is no file");
        }
        const posix::UniqueFd from = tree_.lower().open(below->layer, path, O_RDONLY);
        const posix::UniqueFd to =
            posix::openat(parent.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, S_IRUSR | S_IWUSR);
        copy_content(from, to, below->st, path);
        set_attributes(to.get(), attributes_of(from.get(), below->st, path), owners_, applied_.losses, path);
    }

    /// False when the node had to be left out.
    bool make_device(const Directory& parent, const std::string& name, const TarEntry& entry) {
        if (entry.type == TarType::character && entry.major == 0 && entry.minor == 0) {
            ++applied_.losses.forgeries;
            return false;
        }
        const mode_t type = entry.type == TarType::character ? S_IFCHR : S_IFBLK;
        bool denied = false;
        make(parent, name, entry, [&] {
            const int result =
                ::mknodat(parent.fd.get(), name.c_str(), type | S_IRUSR, makedev(entry.major, entry.minor));
            denied = result != 0 && errno == EPERM;
            return denied ? 0 : result;
        });
        if (denied) ++applied_.losses.devices;
        return !denied;
    }

    TarReader& archive_;
    const Owners& owners_;
    AppliedLayer applied_;
    LayerTree tree_;
};

}  // namespace

AppliedLayer apply_layer(TarReader& archive, const posix::UniqueFd& root, const LayerTree::Lower& lower,
                         const Owners& owners) {
    return Applier(archive, root, lower, owners).run();
}

}  // namespace locald::image
