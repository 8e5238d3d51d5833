#include "shim/mounts/devices.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/in_root.hpp"
#include "shim/mounts/mount_api.hpp"
#include "shim/mounts/mount_options.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

struct Default {
    const char* path;
    unsigned major, minor;
};
// runtime-spec config-linux.md, "Default Devices".
constexpr std::array defaults{Default{"/dev/null", 1, 3},   Default{"/dev/zero", 1, 5},    Default{"/dev/full", 1, 7},
                              Default{"/dev/random", 1, 8}, Default{"/dev/urandom", 1, 9}, Default{"/dev/tty", 5, 0}};

struct Link {
    const char* target;
    const char* name;
};
constexpr std::array links{Link{"/proc/self/fd", "fd"}, Link{"/proc/self/fd/0", "stdin"},
                           Link{"/proc/self/fd/1", "stdout"}, Link{"/proc/self/fd/2", "stderr"}};

struct Node {
    std::string path;
    mode_t type_and_mode = 0;
    dev_t number = 0;
    std::optional<std::uint32_t> uid, gid;
};

Node node_of(const oci::Device& device, std::size_t index) {
    mode_t type = 0;
    if (device.type == "c" || device.type == "u") type = S_IFCHR;
    if (device.type == "b") type = S_IFBLK;
    if (device.type == "p") type = S_IFIFO;
    const std::string place = "linux.devices[" + std::to_string(index) + "]";
    if (type == 0) throw Error(ErrorKind::invalid, place + ".type: expected c, b, u or p, got \"" + device.type + "\"");
    if (device.path.empty() || device.path.front() != '/') {
        throw Error(ErrorKind::invalid, place + ".path: \"" + device.path + "\" is not an absolute path");
    }
    const std::string path = clean_path(device.path);
    if (path == "/") throw Error(ErrorKind::invalid, place + ".path: / cannot be a device");
    constexpr std::int64_t most = 0xFFFFFFFF;
    if (type != S_IFIFO && (device.major < 0 || device.minor < 0 || device.major > most || device.minor > most)) {
        throw Error(ErrorKind::invalid, place + ": there is no device " + std::to_string(device.major) + ":" +
                                            std::to_string(device.minor));
    }
    Node node{path, type | (device.file_mode.value_or(0666) & 07777U), 0, device.uid, device.gid};
    if (type != S_IFIFO) {
        node.number = makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
    }
    return node;
}

/// Makes the node; EEXIST is fine when it is the same device already.
bool make_node(const UniqueFd& directory, const std::string& name, const Node& node) {
    if (::mknodat(directory.get(), name.c_str(), node.type_and_mode, node.number) != 0) {
        const int err = errno;
        if (err == EPERM) return false;
        struct stat st {};
        if (err != EEXIST || ::fstatat(directory.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            (st.st_mode & S_IFMT) != (node.type_and_mode & S_IFMT) || st.st_rdev != node.number) {
            throw_errno(err, "make device ", node.path);
        }
        return true;
    }
    if ((node.uid || node.gid) && ::fchownat(directory.get(), name.c_str(), node.uid.value_or(0), node.gid.value_or(0),
                                             AT_SYMLINK_NOFOLLOW) != 0) {
        throw_errno(errno, "chown device ", node.path);
    }
    return true;
}

void bind_node(const UniqueFd& root, const Node& node) {
    const std::string what = "bind device " + node.path;
    const UniqueFd host = in_step(what, [&] { return posix::open(node.path, O_PATH); });
    const struct stat st = posix::fstat(host, node.path);
    if ((st.st_mode & S_IFMT) != (node.type_and_mode & S_IFMT) || st.st_rdev != node.number) {
        throw Error(ErrorKind::denied, what + ": the host has another device under that name")
            .with_remedy("in a user namespace devices can only be taken over from the host");
    }
    // A link in the image could lead onto any file, those of /proc among them.
    const UniqueFd target = make_target_nofollow(root, node.path, false);
    if (S_ISLNK(posix::fstat(target, node.path).st_mode)) {
        throw Error(ErrorKind::denied, what + ": " + node.path + " in the image is a link");
    }
    attach_mount(clone_file(host, what), target, what);
}

void add(const UniqueFd& root, const UniqueFd& dev, const Node& node, bool by_bind) {
    const auto [parent, name] = split_path(node.path);
    if (!by_bind || S_ISFIFO(node.type_and_mode)) {
        const UniqueFd other = parent == "/dev" ? UniqueFd() : make_directory_in_root(root, parent);
        if (make_node(other ? other : dev, name, node)) return;
    }
    bind_node(root, node);
}

void link(const UniqueFd& dev, const char* target, const char* name) {
    if (::symlinkat(target, dev.get(), name) == 0 || errno == EEXIST) return;
    throw_errno(errno, "link /dev/", name);
}

}  // namespace

bool wants_devices(const oci::Spec& spec) {
    return std::none_of(spec.mounts.begin(), spec.mounts.end(), [](const oci::Mount& mount) {
        return clean_path(mount.destination) == "/dev" && parse_mount_options(mount.options).is_bind();
    });
}

void make_devices(const UniqueFd& root, const oci::Spec& spec, bool by_bind) {
    const mode_t old_mask = ::umask(0);  // modes are meant as written
    const UniqueFd dev = make_directory_in_root(root, "/dev");
    const auto& devices = spec.linux_->devices;
    for (std::size_t i = 0; i < devices.size(); ++i) add(root, dev, node_of(devices[i], i), by_bind);
    for (const auto& entry : defaults) {
        const bool given = std::any_of(devices.begin(), devices.end(), [&](const oci::Device& device) {
            return clean_path(device.path) == entry.path;
        });
        if (given) continue;
        add(root, dev, Node{entry.path, S_IFCHR | 0666U, makedev(entry.major, entry.minor), {}, {}}, by_bind);
    }
    for (const auto& entry : links) link(dev, entry.target, entry.name);
    if (::access("/proc/kcore", F_OK) == 0) link(dev, "/proc/kcore", "core");
    // The image's own ptmx would be the host's: the container must get that of its devpts.
    if (::symlinkat("pts/ptmx", dev.get(), "ptmx") != 0) {
        if (errno != EEXIST) throw_errno(errno, "link /dev/ptmx");
        if (::unlinkat(dev.get(), "ptmx", 0) != 0 || ::symlinkat("pts/ptmx", dev.get(), "ptmx") != 0) {
            throw_errno(errno, "replace /dev/ptmx");
        }
    }
    ::umask(old_mask);
}

void bind_console(const UniqueFd& root, const UniqueFd& slave) {
    const UniqueFd target = make_target_nofollow(root, "/dev/console", false);
    if (S_ISLNK(posix::fstat(target, "/dev/console").st_mode)) {
        throw Error(ErrorKind::denied, "bind /dev/console: /dev/console in the image is a link");
    }
    attach_mount(clone_file(slave, "bind /dev/console"), target, "bind /dev/console");
}

}  // namespace locald::shim
