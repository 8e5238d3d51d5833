#pragma once

#include <string_view>

#include "core/posix/unique_fd.hpp"
#include "shim/namespaces/namespaces.hpp"
#include "shim/namespaces/network_thread.h"

namespace locald::shim {

/// A network namespace made by a second thread while this one prepares the rest: of all namespaces it is the one that
/// takes time, 0.45 of the 0.6 ms in which the kernel makes a container's process with six of them.
class EarlyNetwork {
public:
    EarlyNetwork() = default;
    ~EarlyNetwork();
    EarlyNetwork(const EarlyNetwork&) = delete;
    EarlyNetwork& operator=(const EarlyNetwork&) = delete;

    void start() noexcept;
    /// The namespace; empty when none was started or it failed: then clone3 makes it and tells why it cannot. Its
    /// loopback may not be up yet.
    posix::UniqueFd take() noexcept;
    /// Waits for the loopback of the namespace that was taken. @throws Error when it is not up
    void finish();

private:
    network_thread thread_{};
    bool started_ = false, taken_ = false;
};

/// True where the container gets a network namespace that belongs to our own user namespace.
bool early_network_possible(const NamespacePlan& plan) noexcept;
/// A guess at that from the text of config.json, before it is parsed. A wrong one costs a namespace made in vain.
bool early_network_likely(std::string_view config) noexcept;

}  // namespace locald::shim
