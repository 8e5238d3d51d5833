#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/image/attributes.hpp"
#include "core/image/merged_tree.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::image {

/// The directories of one layer while it fills, with the lower layers in view: an archive may name `lib/x` where a
/// lower layer made `lib` a symlink, or files below a directory that only a lower layer has.
///
/// No call here lets the kernel follow a symlink: each step opens real directories from the root descriptor
/// (RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS), and links are walked in user space, kept within the root. So it does not
/// matter what else changes the tree meanwhile.
class LayerTree {
public:
    /// Gives the merged lower layers; called when they are needed, may wait for them, null for the bottom layer.
    using Lower = std::function<MergedTree*()>;

    /// One real directory of this layer.
    struct Directory {
        posix::UniqueFd fd;
        std::string path;  ///< from the root, without links
    };

    /// @param root  the layer's `diff`, which outlives this object
    LayerTree(const posix::UniqueFd& root, Lower lower, const Owners& owners, Losses& losses);

    /// The directory that `components` lead to, made where it is missing (0755 root, or as the lower layers have it).
    /// @throws Error(corrupt) when a part of it is no directory or there are too many links
    std::shared_ptr<const Directory> directory(const std::vector<std::string>& components);

    /// What the lower layers show at `path`; nothing below a directory that this layer made opaque.
    std::optional<MergedTree::Node> find_lower(const std::string& path);
    /// False for the bottom layer.
    bool has_lower() const;
    MergedTree& lower() const { return *lower_(); }

    /// Makes the directory `name`, or keeps it when this layer has it, and notes what it shall look like in the end.
    void put_directory(const Directory& parent, const std::string& name, Attributes attributes);
    void put_root(Attributes attributes) { pending_[""] = std::move(attributes); }
    /// Makes room for another kind of entry: removes what this layer has at `name`.
    void remove_own(const Directory& parent, const std::string& name);
    /// To be called after a symlink was made: paths that were resolved may lead elsewhere now.
    void forget_links();

    /// `.wh.NAME`: hides what lower layers have at `name`, spares what this layer put there.
    void hide(const Directory& parent, const std::string& name);
    /// `.wh..wh..opq`: hides all that lower layers have in the directory.
    void hide_below(const Directory& directory);

    /// The second pass, children first: owners, modes and times of directories, opaque marks.
    void finish();

private:
    posix::UniqueFd open(const std::string& path, int flags) const;
    std::shared_ptr<const Directory> walk(const std::vector<std::string>& components);
    std::shared_ptr<const Directory> remember(const std::string& asked, Directory directory);
    void make_missing(const Directory& parent, const std::string& name, const std::string& path,
                      const std::optional<MergedTree::Node>& below);
    void make_opaque(const std::string& path, int fd);

    const posix::UniqueFd& root_;
    Lower lower_;
    const Owners& owners_;
    Losses& losses_;
    std::shared_ptr<const Directory> root_directory_;
    std::unordered_map<std::string, std::shared_ptr<const Directory>> cache_;
    bool cache_has_links_ = false;
    std::map<std::string, Attributes> pending_;
    std::set<std::string> opaque_;
};

}  // namespace locald::image
