#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/credentials.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/reference.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::bundle {

enum class PullPolicy { missing, always, never };
enum class NetworkMode { host, none };
enum class UserNamespaceMode { automatic, keep_id };

/// `-v` and `--mount`.
struct MountOption {
    enum class Type { bind, tmpfs } type = Type::bind;
    std::string source;       ///< absolute on the host that runs the container; empty for tmpfs
    std::string destination;  ///< absolute
    bool read_only = false;
    std::vector<std::string> options;  ///< further mount options: `size=64m`, `mode=1777`, `rprivate`, `noexec`
};

/// `-p`: a TCP port of the container, and the one of the caller's host that leads to it.
struct PortOption {
    std::string address;                              ///< numeric; empty: the host's loopback, of both families
    std::uint16_t host_port = 0, container_port = 0;  ///< of the host's, 0 is any that is free
};

/// `--ulimit nofile=1024:4096`; the name as in config.json: RLIMIT_NOFILE.
struct UlimitOption {
    std::string type;
    std::uint64_t soft = 0, hard = 0;
};

/// The workload of one container as the user asks for it: plain values, the same for every backend.
struct RunOptions {
    std::string id;  ///< empty: the backend makes one
    std::vector<std::string> command;
    std::optional<std::string> entrypoint;  ///< replaces the image's and drops its Cmd; "" means none
    std::vector<std::pair<std::string, std::string>>
        env;  ///< in order, the last of a name wins; already resolved (`-e K`)
    std::vector<MountOption> mounts;
    std::string workdir, user, hostname, stop_signal;
    std::vector<std::string> cap_add, cap_drop;  ///< with or without CAP_, or ALL
    std::vector<UlimitOption> ulimits;
    std::vector<PortOption> ports;
    std::vector<std::pair<std::string, std::string>> add_hosts;  ///< name, address
    std::optional<std::int64_t> memory_bytes;
    std::optional<std::int64_t> cpu_quota_us;  ///< per period of 100,000 µs: --cpus 0.5 is 50,000
    std::optional<std::int64_t> pids_limit;    ///< -1: unlimited
    std::uint64_t shm_bytes = 64U << 20U;
    NetworkMode network = NetworkMode::host;
    UserNamespaceMode userns = UserNamespaceMode::automatic;
    std::optional<oci::ConsoleSize>
        console_size;  ///< with tty: the size at the start; empty: the terminal's owner sets it
    bool tty = false, read_only = false, init = false, no_new_privileges = false;
};

/// What a container is made from.
struct Source {
    std::optional<oci::ImageName> image;
    std::string rootfs;  ///< a plain directory instead of an image (`--rootfs`)
    PullPolicy pull = PullPolicy::missing;
    std::optional<oci::Platform> platform;  ///< empty: the backend's own
    CredentialSource credentials;           ///< as runtime::PullOptions has it
};

}  // namespace locald::bundle
