#include <algorithm>
#include <array>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/bundle/parts.hpp"

namespace locald::bundle::parts {

namespace {

/// What lxcfs and the like give a container of its own; all else below /proc would hide the kernel's answers from
/// checks that rely on them (CVE-2019-16884).
constexpr std::array<std::string_view, 9> allowed_in_proc{"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo",
                                                          "/proc/stat",    "/proc/swaps",     "/proc/uptime",
                                                          "/proc/loadavg", "/proc/slabinfo",  "/proc/net/dev"};

/// Words of `-v` that mean something to other engines alone: SELinux labels, Docker Desktop's caches, volume seeding.
constexpr std::array<std::string_view, 6> passed_over{"z", "Z", "cached", "delegated", "consistent", "nocopy"};

constexpr std::array<std::string_view, 8> propagations{"private", "rprivate", "slave",      "rslave",
                                                       "shared",  "rshared",  "unbindable", "runbindable"};

template <std::size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

bool has_any(const std::vector<std::string>& options, std::initializer_list<std::string_view> words) {
    return std::any_of(options.begin(), options.end(), [&](const std::string& one) {
        return std::find(words.begin(), words.end(), one) != words.end();
    });
}

std::string checked_destination(const std::string& wanted) {
    const std::string what = "mount on " + json_quote(wanted);
    refuse_nul(wanted, what);
    if (!wanted.starts_with('/')) throw Error(ErrorKind::invalid, what + ": must be absolute");
    std::string clean = clean_path(wanted);
    if (clean == "/") throw Error(ErrorKind::invalid, what + ": the root of the container cannot be mounted over");
    if (is_within(clean, "/proc") && !is_one_of(clean, allowed_in_proc)) {
        throw Error(ErrorKind::invalid, what + ": nothing can be mounted over /proc or below it")
            .with_remedy("mount it elsewhere, such as /host" + clean);
    }
    return clean;
}

std::vector<std::string> kept_options(const MountOption& wanted) {
    std::vector<std::string> options;
    for (const auto& one : wanted.options) {
        if (one.empty() || is_one_of(one, passed_over)) continue;
        if (one.find(',') != std::string::npos || one.find('\0') != std::string::npos) {
            throw Error(ErrorKind::invalid, "mount on " + wanted.destination + ": option " + json_quote(one));
        }
        options.push_back(one);
    }
    return options;
}

oci::Mount bind_mount(const MountOption& wanted, std::string destination) {
    if (!wanted.source.starts_with('/')) {
        throw Error(ErrorKind::invalid, "mount on " + destination + ": the source " + json_quote(wanted.source) +
                                            " is no absolute path of the host");
    }
    refuse_nul(wanted.source, "mount on " + destination);
    oci::Mount mount;
    mount.destination = std::move(destination);
    mount.type = "bind";
    mount.source = wanted.source;
    const auto options = kept_options(wanted);
    if (!has_any(options, {"bind", "rbind"})) mount.options.emplace_back("rbind");
    if (std::none_of(options.begin(), options.end(), [](const auto& one) { return is_one_of(one, propagations); })) {
        mount.options.emplace_back("rprivate");
    }
    mount.options.insert(mount.options.end(), options.begin(), options.end());
    if (wanted.read_only) {
        mount.options.emplace_back("ro");
        // What is mounted below the source is read-only too: nobody who writes `:ro` means only the top.
        mount.options.emplace_back("rro");
    }
    return mount;
}

oci::Mount tmpfs_mount(const MountOption& wanted, std::string destination) {
    oci::Mount mount;
    mount.destination = std::move(destination);
    mount.type = "tmpfs";
    mount.source = "tmpfs";
    const auto options = kept_options(wanted);
    const auto add_unless = [&](const char* option, const char* opposite) {
        if (!has_any(options, {option, opposite})) mount.options.emplace_back(option);
    };
    add_unless("nosuid", "suid");
    add_unless("nodev", "dev");
    add_unless("noexec", "exec");
    if (std::none_of(options.begin(), options.end(), [](const auto& one) { return one.starts_with("mode="); })) {
        mount.options.emplace_back("mode=1777");
    }
    mount.options.insert(mount.options.end(), options.begin(), options.end());
    if (wanted.read_only) mount.options.emplace_back("ro");
    return mount;
}

/// A volume of the image. @throws Error(invalid) for what no image may ask for (CVE-2022-23648, CVE-2019-16884)
std::string checked_volume(const std::string& wanted) {
    const std::string what = "the image's volume " + json_quote(wanted);
    refuse_nul(wanted, what);
    for (const auto part : split(wanted, '/')) {
        if (part == "..") throw Error(ErrorKind::invalid, what + ": a volume's path has no \"..\"");
    }
    std::string clean = clean_path(wanted);
    if (clean == "/" || is_within(clean, "/proc") || is_within(clean, "/sys") || is_within(clean, "/dev")) {
        throw Error(ErrorKind::invalid, what + ": an image cannot replace /, /proc, /sys or /dev");
    }
    return clean;
}

std::size_t depth(const std::string& clean) {
    return static_cast<std::size_t>(std::count(clean.begin(), clean.end(), '/'));
}

}  // namespace

std::vector<oci::Mount> user_mounts(Plan& plan) {
    std::vector<oci::Mount> mounts;
    const auto is_taken = [&mounts](const std::string& destination) {
        return std::any_of(mounts.begin(), mounts.end(),
                           [&](const oci::Mount& one) { return one.destination == destination; });
    };
    for (const auto& wanted : plan.options.mounts) {
        std::string destination = checked_destination(wanted.destination);
        if (is_taken(destination)) {
            throw Error(ErrorKind::invalid, "mount on " + destination + ": asked for twice");
        }
        mounts.push_back(wanted.type == MountOption::Type::bind ? bind_mount(wanted, std::move(destination))
                                                                : tmpfs_mount(wanted, std::move(destination)));
    }
    if (plan.image != nullptr) {
        for (const auto& wanted : plan.image->volumes) {
            std::string destination = checked_volume(wanted);
            // The container's own layer is writable and as short-lived as an anonymous volume, so a volume needs a
            // mount only where the root is read-only.
            if (!plan.options.read_only || is_taken(destination)) continue;
            oci::Mount mount;
            mount.destination = std::move(destination);
            mount.type = "tmpfs";
            mount.source = "tmpfs";
            mount.options = {"nosuid", "nodev", "mode=755", "tmpcopyup"};
            mounts.push_back(std::move(mount));
        }
    }
    // A parent that came after its child would hide it.
    std::stable_sort(mounts.begin(), mounts.end(), [](const oci::Mount& a, const oci::Mount& b) {
        return depth(a.destination) < depth(b.destination);
    });
    return mounts;
}

}  // namespace locald::bundle::parts
