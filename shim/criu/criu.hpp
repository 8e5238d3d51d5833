#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/posix/unique_fd.hpp"
#include "shim/criu/options.hpp"

namespace locald::shim {

/// The criu program: --criu, or in one of the directories that root alone fills. Never by PATH: it runs as root.
/// @throws Error that names the one thing that is missing: root, the kernel's part of it, the program
std::string find_criu(const std::string& given);

/// The options that both ways have in common, with directories that exist.
std::vector<std::string> criu_arguments(const CriuOptions& options, const std::string& rootfs, const char* log);

/// One run of criu.
struct CriuRun {
    std::string program;
    std::vector<std::string> arguments;
    std::vector<std::pair<int, int>> descriptors;  ///< ours, and the number that it has in criu
    std::function<void()> prepare;                 ///< in the process that becomes criu
    std::function<void(pid_t)> started;            ///< before `prepare`, in ours
    std::string log;                               ///< its path, for the error
};

/// Waits for its end. @throws Error with the first errors of its log
void run_criu(const CriuRun& run);

}  // namespace locald::shim
