#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace locald::shim {

/// One line of mountinfo. @see proc_pid_mountinfo(5)
struct MountEntry {
    std::uint64_t id = 0, parent = 0;
    std::uint64_t device = 0;  ///< as st_dev has it
    std::string root;          ///< what of the file system is mounted
    std::string place;         ///< as seen from the reader's root
    std::string type;
};

/// The lines that are whole.
std::vector<MountEntry> parse_mount_table(std::string_view text);

/// True for `id` itself and for whatever is mounted on it or on something below it.
bool is_on_mount(const std::vector<MountEntry>& table, std::uint64_t id, std::uint64_t below);

}  // namespace locald::shim
