#pragma once

#include <string>

#include "shim/options/command_line.hpp"

namespace locald::shim {

/// The command lines of `checkpoint` and `restore`.
struct CriuOptions {
    std::string root;  ///< --root
    std::string criu;  ///< --criu
    std::string id;
    bool systemd_cgroup = false, cgroups_disabled = false;

    std::string image_path = "checkpoint";
    std::string work_path;  ///< empty: the image path
    bool tcp_established = false, ext_unix_sk = false, shell_job = false, file_locks = false;
    bool lazy_pages = false, auto_dedup = false;
    std::string cgroups_mode;  ///< soft, full, strict, ignore; empty: ours to choose
    std::string empty_ns;      ///< `network` or empty

    // checkpoint
    std::string parent_path;  ///< relative to the image path
    bool leave_running = false, tcp_skip_in_flight = false, link_remap = false, pre_dump = false;
    int status_fd = -1;
    std::string page_server;  ///< ADDRESS:PORT

    // restore
    std::string bundle = ".";
    std::string pid_file, lsm_profile, lsm_mount_context;
    bool detach = false;
};

/// @throws UsageError
CriuOptions parse_criu(const Globals& globals, Walker& walker, bool restore);

}  // namespace locald::shim
