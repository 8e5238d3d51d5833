#pragma once

#include <string>

#include "backends/protocol/values.hpp"

namespace locald::protocol {

/// What is found at a path, here or on the other host.
struct SeenPath {
    std::string kind = "none";  ///< directory, file, socket, fifo, device, none
    bool empty = false;         ///< a directory without entries; one that may not be read is not called so
    std::string mount;          ///< where what it lies on is mounted; empty when nobody looked
    std::string why;            ///< the kernel's words where there is none
};

/// All but the mount. Links are followed.
SeenPath look_at(const std::string& path);

Json write_seen_path(const SeenPath& seen);
/// Reads what another host says. @throws nlohmann::json::exception
SeenPath read_seen_path(const Json& json);

}  // namespace locald::protocol
