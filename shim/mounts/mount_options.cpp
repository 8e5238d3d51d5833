#include "shim/mounts/mount_options.hpp"

#include <sys/mount.h>

#include <algorithm>
#include <array>

namespace locald::shim {

namespace {

enum class Effect {
    none,
    set,
    clear,
    atime,
    bind,
    rbind,
    remount,
    tmpcopyup,
    idmap,
    ridmap,
    copy_symlink,
    source_nofollow,
    dest_nofollow,
    propagation,
    super
};

struct Entry {
    std::string_view name;
    Effect effect;
    std::uint64_t bits = 0;  ///< MOUNT_ATTR_, or MS_ for propagation
    bool recursive = false;
};

// Atime settings are one field of the attributes, not bits: a change clears all of the field.
constexpr std::uint64_t atime_field = MOUNT_ATTR__ATIME;

constexpr std::array table{
    Entry{"defaults", Effect::none},
    Entry{"ro", Effect::set, MOUNT_ATTR_RDONLY},
    Entry{"rw", Effect::clear, MOUNT_ATTR_RDONLY},
    Entry{"nosuid", Effect::set, MOUNT_ATTR_NOSUID},
    Entry{"suid", Effect::clear, MOUNT_ATTR_NOSUID},
    Entry{"nodev", Effect::set, MOUNT_ATTR_NODEV},
    Entry{"dev", Effect::clear, MOUNT_ATTR_NODEV},
    Entry{"noexec", Effect::set, MOUNT_ATTR_NOEXEC},
    Entry{"exec", Effect::clear, MOUNT_ATTR_NOEXEC},
    Entry{"nosymfollow", Effect::set, MOUNT_ATTR_NOSYMFOLLOW},
    Entry{"symfollow", Effect::clear, MOUNT_ATTR_NOSYMFOLLOW},
    Entry{"nodiratime", Effect::set, MOUNT_ATTR_NODIRATIME},
    Entry{"diratime", Effect::clear, MOUNT_ATTR_NODIRATIME},
    Entry{"noatime", Effect::atime, MOUNT_ATTR_NOATIME},
    Entry{"atime", Effect::atime, MOUNT_ATTR_RELATIME},
    Entry{"relatime", Effect::atime, MOUNT_ATTR_RELATIME},
    Entry{"norelatime", Effect::none},
    Entry{"strictatime", Effect::atime, MOUNT_ATTR_STRICTATIME},
    Entry{"nostrictatime", Effect::atime, MOUNT_ATTR_RELATIME},
    Entry{"rro", Effect::set, MOUNT_ATTR_RDONLY, true},
    Entry{"rrw", Effect::clear, MOUNT_ATTR_RDONLY, true},
    Entry{"rnosuid", Effect::set, MOUNT_ATTR_NOSUID, true},
    Entry{"rsuid", Effect::clear, MOUNT_ATTR_NOSUID, true},
    Entry{"rnodev", Effect::set, MOUNT_ATTR_NODEV, true},
    Entry{"rdev", Effect::clear, MOUNT_ATTR_NODEV, true},
    Entry{"rnoexec", Effect::set, MOUNT_ATTR_NOEXEC, true},
    Entry{"rexec", Effect::clear, MOUNT_ATTR_NOEXEC, true},
    Entry{"rnosymfollow", Effect::set, MOUNT_ATTR_NOSYMFOLLOW, true},
    Entry{"rsymfollow", Effect::clear, MOUNT_ATTR_NOSYMFOLLOW, true},
    Entry{"rnodiratime", Effect::set, MOUNT_ATTR_NODIRATIME, true},
    Entry{"rdiratime", Effect::clear, MOUNT_ATTR_NODIRATIME, true},
    Entry{"rnoatime", Effect::atime, MOUNT_ATTR_NOATIME, true},
    Entry{"ratime", Effect::atime, MOUNT_ATTR_RELATIME, true},
    Entry{"rrelatime", Effect::atime, MOUNT_ATTR_RELATIME, true},
    Entry{"rnorelatime", Effect::none},
    Entry{"rstrictatime", Effect::atime, MOUNT_ATTR_STRICTATIME, true},
    Entry{"rnostrictatime", Effect::atime, MOUNT_ATTR_RELATIME, true},
    Entry{"bind", Effect::bind},
    Entry{"rbind", Effect::rbind},
    Entry{"remount", Effect::remount},
    Entry{"tmpcopyup", Effect::tmpcopyup},
    Entry{"copy-symlink", Effect::copy_symlink},
    Entry{"src-nofollow", Effect::source_nofollow},
    Entry{"dest-nofollow", Effect::dest_nofollow},
    Entry{"idmap", Effect::idmap},
    Entry{"ridmap", Effect::ridmap},
    Entry{"shared", Effect::propagation, MS_SHARED},
    Entry{"rshared", Effect::propagation, MS_SHARED, true},
    Entry{"slave", Effect::propagation, MS_SLAVE},
    Entry{"rslave", Effect::propagation, MS_SLAVE, true},
    Entry{"private", Effect::propagation, MS_PRIVATE},
    Entry{"rprivate", Effect::propagation, MS_PRIVATE, true},
    Entry{"unbindable", Effect::propagation, MS_UNBINDABLE},
    Entry{"runbindable", Effect::propagation, MS_UNBINDABLE, true},
    // Flags of the superblock: the kernel takes them by these names from every file system.
    Entry{"sync", Effect::super},
    Entry{"async", Effect::super},
    Entry{"dirsync", Effect::super},
    Entry{"lazytime", Effect::super},
    Entry{"nolazytime", Effect::super},
    Entry{"mand", Effect::super},
    Entry{"nomand", Effect::super},
    Entry{"silent", Effect::none},
    Entry{"loud", Effect::none},
    // Inode versions are no mount flag since Linux 4.16; the old names pass without effect.
    Entry{"iversion", Effect::none},
    Entry{"noiversion", Effect::none},
};

const Entry* find(std::string_view name) {
    static constexpr auto sorted = [] {
        auto entries = table;
        std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
        return entries;
    }();
    const auto* found =
        std::lower_bound(sorted.begin(), sorted.end(), name,
                         [](const Entry& entry, std::string_view wanted) { return entry.name < wanted; });
    return found != sorted.end() && found->name == name ? found : nullptr;
}

void change(MountOptions& result, const Entry& entry, std::uint64_t set, std::uint64_t clear) {
    auto& to_set = entry.recursive ? result.recursive_set : result.set;
    auto& to_clear = entry.recursive ? result.recursive_clear : result.clear;
    // The last word counts: `ro,rw` is rw.
    to_set = (to_set & ~clear & ~set) | set;
    to_clear = (to_clear & ~set) | clear;
}

void apply(MountOptions& result, const Entry& entry) {
    switch (entry.effect) {
        case Effect::none:
            break;
        case Effect::set:
            change(result, entry, entry.bits, 0);
            break;
        case Effect::clear:
            change(result, entry, 0, entry.bits);
            break;
        case Effect::atime: {
            auto& to_set = entry.recursive ? result.recursive_set : result.set;
            auto& to_clear = entry.recursive ? result.recursive_clear : result.clear;
            to_set = (to_set & ~atime_field) | entry.bits;
            to_clear |= atime_field;
            break;
        }
        case Effect::bind:
            result.bind = true;
            break;
        case Effect::rbind:
            result.recursive_bind = true;
            break;
        case Effect::remount:
            result.remount = true;
            break;
        case Effect::tmpcopyup:
            result.tmpcopyup = true;
            break;
        case Effect::copy_symlink:
            result.copy_symlink = true;
            break;
        case Effect::source_nofollow:
            result.source_nofollow = true;
            break;
        case Effect::dest_nofollow:
            result.dest_nofollow = true;
            break;
        case Effect::idmap:
            result.idmap = true;
            break;
        case Effect::ridmap:
            result.recursive_idmap = true;
            break;
        case Effect::propagation:
            result.propagation = static_cast<unsigned long>(entry.bits);
            result.propagation_recursive = entry.recursive;
            break;
        case Effect::super:
            result.super.emplace_back(entry.name);
            break;
    }
}

}  // namespace

MountOptions parse_mount_options(const std::vector<std::string>& options) {
    MountOptions result;
    for (const auto& option : options) {
        if (option.empty()) continue;
        if (const Entry* known = find(option)) {
            apply(result, *known);
            continue;
        }
        const auto equals = option.find('=');
        const std::string key = option.substr(0, equals);
        if (key == "idmap" || key == "ridmap") {
            (key == "idmap" ? result.idmap : result.recursive_idmap) = true;
            result.idmap_text = option.substr(equals + 1);
        } else if (equals == std::string::npos) {
            result.data.emplace_back(option, std::nullopt);
        } else {
            result.data.emplace_back(key, option.substr(equals + 1));
        }
    }
    return result;
}

std::vector<std::string> known_mount_options() {
    std::vector<std::string> names;
    names.reserve(table.size());
    for (const auto& entry : table) names.emplace_back(entry.name);
    return names;
}

}  // namespace locald::shim
