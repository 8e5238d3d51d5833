#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/host/lock.hpp"

namespace locald::backends {

/// The directories of this user's containers below the store, each owned by whoever holds its lock. A directory whose
/// lock is free belonged to a process that died.
class ContainerDirs {
public:
    explicit ContainerDirs(std::string data_directory);

    std::string path_of(const std::string& id) const;

    /// Takes the lock of `id`. @throws Error(exists) when a running process has it
    host::FileLock claim(const std::string& id) const;
    /// Gives the name up: removes the lock file while the lock is still held.
    void forget(const std::string& id) const noexcept;

    /// Calls `remove` for every container whose owner died, with its lock held.
    void sweep(const std::function<void(const std::string& id)>& remove) const;

private:
    std::string lock_path_of(const std::string& id) const;
    std::optional<host::FileLock> try_claim(const std::string& id) const;

    std::string containers_;
    std::string locks_;
};

/// A new container id: 32 random hex digits.
std::string make_container_id();

}  // namespace locald::backends
