#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/bundle/config_builder.hpp"

namespace locald::bundle {

/// One call of build_bundle() with everything set to the usual: an image with a shell, root, no user namespace.
struct Build {
    RunOptions options;
    std::optional<oci::ImageConfig> image = oci::ImageConfig{};
    AccountFiles accounts{"root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n"};
    HostFacts host;

    Build() {
        options.id = "0123456789abcdef0123456789abcdef";
        image->os = "linux";
        image->architecture = "amd64";
        image->cmd = {"/bin/sh"};
        host.resolv_conf = "nameserver 192.0.2.1\n";
        host.init_program = "/usr/lib/locald/locald-shim";
    }
    Bundle run() const { return build_bundle(options, image, accounts, host); }
    oci::Process process() const { return *run().spec.process; }

    /// A user namespace whose root is the caller, with a grant of 65536 ids.
    Build& mapped() {
        host.uid_mappings = {{0, 1000, 1}, {1, 100000, 65536}};
        host.gid_mappings = host.uid_mappings;
        return *this;
    }
    /// A user namespace in which only the caller's own id exists, as root.
    Build& single() {
        host.uid_mappings = {{0, 1000, 1}};
        host.gid_mappings = host.uid_mappings;
        host.full_map = false;
        return *this;
    }
    /// keep-id for the caller 1000.
    Build& kept() {
        options.userns = UserNamespaceMode::keep_id;
        host.uid_mappings = {{0, 100000, 1000}, {1000, 1000, 1}, {1001, 101000, 64536}};
        host.gid_mappings = host.uid_mappings;
        host.user_name = "dev";
        return *this;
    }
};

/// The Error that `body` throws; a test failure when it throws none.
template <class F>
Error error_of(F&& body) {
    try {
        body();
    } catch (const Error& e) {
        return e;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {ErrorKind::system, "nothing was thrown"};
}

inline const oci::Mount* find_mount(const std::vector<oci::Mount>& mounts, std::string_view destination) {
    const auto found = std::find_if(mounts.begin(), mounts.end(),
                                    [&](const oci::Mount& one) { return one.destination == destination; });
    return found == mounts.end() ? nullptr : &*found;
}

inline MountOption bind(std::string source, std::string destination, bool read_only = false) {
    MountOption mount;
    mount.source = std::move(source);
    mount.destination = std::move(destination);
    mount.read_only = read_only;
    return mount;
}

}  // namespace locald::bundle
