#include "shim/mounts/overlay.hpp"

#include <fcntl.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/mount_api.hpp"
#include "shim/mounts/mount_options.hpp"

namespace locald::shim {

using posix::UniqueFd;

namespace {

// fsconfig(2) copies at most 256 bytes of a value, the zero included.
constexpr std::size_t most_value = 255;

std::string name_of(const UniqueFd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

UniqueFd open_layer(const std::string& path) {
    return in_step("overlay layer", [&] { return posix::open(path, O_PATH | O_DIRECTORY); });
}

/// upperdir and workdir are given escaped, as mount(8) takes them; we hand them on as descriptors' names when long.
std::string unescape(const std::string& value) {
    std::string plain;
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] == '\\' && i + 1 < value.size()) ++i;
        plain += value[i];
    }
    return plain;
}

/// Linux before 6.5 takes the layers as one string only, through mount(2), with room for one page.
UniqueFd mount_by_string(const MountOptions& options, const std::vector<std::string>& layers, const std::string& path,
                         const std::string& what) {
    std::vector<UniqueFd> held;
    std::string data = "lowerdir=";
    for (const auto& layer : layers) {
        held.push_back(open_layer(layer));
        data += (held.size() == 1 ? "" : ":") + name_of(held.back());
    }
    for (const auto& [key, value] : options.data) {
        if (key == "lowerdir") continue;
        data += "," + key;
        if (!value) continue;
        if (key == "upperdir" || key == "workdir") {
            held.push_back(open_layer(unescape(*value)));
            data += "=" + name_of(held.back());
        } else {
            data += "=" + *value;
        }
    }
    if (::mount("overlay", path.c_str(), "overlay", 0, data.c_str()) != 0) throw_errno(errno, what);
    return posix::open(path, O_PATH | O_DIRECTORY);
}

}  // namespace

std::vector<std::string> split_lowerdir(const std::string& value) {
    std::vector<std::string> layers(1);
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] == '\\' && i + 1 < value.size()) {
            layers.back() += value[++i];
        } else if (value[i] == ':') {
            layers.emplace_back();
        } else {
            layers.back() += value[i];
        }
    }
    std::erase(layers, "");
    return layers;
}

UniqueFd mount_overlay(const oci::Mount& mount, const std::string& path, const UniqueFd& place,
                       const std::string& what) {
    const MountOptions options = parse_mount_options(mount.options);
    std::vector<std::string> layers;
    for (const auto& [key, value] : options.data) {
        if (key == "lowerdir" && value) layers = split_lowerdir(*value);
    }
    if (layers.empty()) throw Error(ErrorKind::invalid, what + ": an overlay needs lowerdir=");
    UniqueFd root;
    try {
        const FsContext context("overlay", what);
        std::vector<UniqueFd> held;
        for (const auto& layer : layers) {
            if (layer.size() <= most_value) {
                context.set("lowerdir+", layer);
            } else {
                held.push_back(open_layer(layer));
                context.set("lowerdir+", name_of(held.back()));
            }
        }
        for (const auto& name : options.super) context.set_flag(name);
        for (const auto& [key, value] : options.data) {
            if (key == "lowerdir") continue;
            if (!value) {
                context.set_flag(key);
            } else if (value->size() <= most_value) {
                context.set(key, *value);
            } else {
                held.push_back(open_layer(unescape(*value)));
                context.set(key, name_of(held.back()));
            }
        }
        root = context.mount(options.set | options.recursive_set);
    } catch (const Error& e) {
        // Linux before 6.5 does not know lowerdir+ and says EINVAL; so do real mistakes, which then fail once more.
        if (e.os_errno() != EINVAL) throw;
        try {
            return mount_by_string(options, layers, path, what);
        } catch (const Error&) {
            throw e;
        }
    }
    attach_mount(root, place, what);
    return root;
}

}  // namespace locald::shim
