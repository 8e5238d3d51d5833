#pragma once

#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::shim {

/// What can be said against linux.netDevices before anything is made: names that no interface can have, two interfaces
/// of one name, no network namespace to move them to.
void check_net_devices(const oci::Linux& config);

/// The network interfaces that were moved into a container. Once its program runs they belong to its network namespace:
/// the kernel gives physical ones back when that ends and destroys virtual ones (config-linux.md, "Namespace Lifecycle
/// and Container Termination"). Until then an error brings them back.
class MovedNetDevices {
public:
    /// Moves linux.netDevices into `network_namespace`, renames them, gives them their permanent global addresses again
    /// and sets them up. @throws Error that names the interface; then every one is back where it was
    void move(const oci::Linux& config, posix::UniqueFd network_namespace);
    /// Brings them back with their names, addresses and state. Does what it can.
    void restore() noexcept;
    /// From here on they are the container's.
    void keep() noexcept;

    /// An address as `RTM_NEWADDR` takes it: the fixed part and the attributes.
    struct Address {
        std::string fixed;
        std::vector<std::pair<unsigned short, std::string>> attributes;
    };
    struct Device {
        std::string name;  ///< out here
        int index = 0;     ///< where it is now
        bool up = false;
        std::vector<Address> addresses;
    };

private:
    posix::UniqueFd namespace_;
    std::vector<Device> moved_;
};

/// The network namespace of a container: `joined` when it has one, else that of its process `pid`, our child.
posix::UniqueFd open_network_namespace(int pid, const posix::UniqueFd* joined);

}  // namespace locald::shim
