#pragma once

#include <pthread.h>

#include <string_view>

#include "core/posix/unique_fd.hpp"
#include "shim/namespaces/namespaces.hpp"

namespace locald::shim {

/// A network namespace made by a second thread while this one prepares the rest: of all namespaces it is the one that
/// takes time, 0.45 of the 0.6 ms in which the kernel makes a container's process with six of them.
class EarlyNetwork {
public:
    EarlyNetwork() = default;
    ~EarlyNetwork() { static_cast<void>(take()); }
    EarlyNetwork(const EarlyNetwork&) = delete;
    EarlyNetwork& operator=(const EarlyNetwork&) = delete;

    void start() noexcept;
    /// The namespace, its loopback up; empty when none was started or it failed: then clone3 makes it and tells why it
    /// cannot.
    posix::UniqueFd take() noexcept;

private:
    static void* make(void* self) noexcept;

    pthread_t thread_{};
    bool started_ = false;
    int fd_ = -1;
};

/// True where the container gets a network namespace that belongs to our own user namespace.
bool early_network_possible(const NamespacePlan& plan) noexcept;
/// A guess at that from the text of config.json, before it is parsed. A wrong one costs a namespace made in vain.
bool early_network_likely(std::string_view config) noexcept;

}  // namespace locald::shim
