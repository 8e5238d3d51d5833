#pragma once

#include <functional>
#include <string>
#include <thread>

#include "core/posix/unique_fd.hpp"

namespace locald::backends {

/// A listening Unix socket for this user alone, in a directory that is his alone.
class KeeperSocket {
public:
    /// @param directory  made when it is not there
    KeeperSocket(const std::string& directory, const std::string& name);
    ~KeeperSocket();
    KeeperSocket(const KeeperSocket&) = delete;
    KeeperSocket& operator=(const KeeperSocket&) = delete;

    const std::string& path() const noexcept { return path_; }
    /// Hands each connection to `take`, which closes it, in a thread of this object's until close().
    void serve(std::function<void(int handle)> take);
    /// Takes the name away and ends the thread.
    void close() noexcept;

private:
    std::string path_;
    posix::UniqueFd socket_, wake_read_, wake_write_;
    std::thread thread_;
};

}  // namespace locald::backends
