#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locald::shim {

/// Compiled filters on disk. Each entry holds the whole text it was compiled from and a checksum of its instructions:
/// an entry of another profile, another version or a torn write is not used. At most 256 entries, one a file.
class SeccompCache {
public:
    /// @param dir  made when missing; not used unless it is a directory of the caller's own with mode 0700
    explicit SeccompCache(std::string dir) : dir_(std::move(dir)) {}

    std::optional<std::vector<std::uint64_t>> find(std::string_view key) const;
    /// Replaces the entry in one step. A full disk or missing rights cost only the entry.
    void put(std::string_view key, const std::vector<std::uint64_t>& program) const;

private:
    std::string dir_;
};

}  // namespace locald::shim
