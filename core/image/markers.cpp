#include <sys/stat.h>

#include <cstdio>
#include <ctime>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/image/store_files.hpp"
#include "core/posix/fs.hpp"

namespace locald::image {

namespace {

// The kernel writes back what is older than vm.dirty_expire_centisecs, 30 seconds unless somebody changed it.
constexpr std::time_t surely_written_back = 600;

std::string read_boot_id() {
    try {
        return std::string(trim(posix::read_file("/proc/sys/kernel/random/boot_id")));
    } catch (const Error&) {
        return "unknown";
    }
}

}  // namespace

std::string fresh_marker() {
    static const std::string boot_id = read_boot_id();
    return std::string(complete_marker) + "-" + boot_id;
}

bool is_complete(const std::string& layer) {
    const std::string marker = layer + "/" + std::string(complete_marker);
    struct stat st {};
    if (::stat(marker.c_str(), &st) == 0) return true;
    const std::string fresh = layer + "/" + fresh_marker();
    if (::stat(fresh.c_str(), &st) != 0) return false;
    // Where this fails, in a read-only store or because somebody was faster, the layer counts all the same.
    if (std::time(nullptr) - st.st_mtime > surely_written_back) ::rename(fresh.c_str(), marker.c_str());
    return true;
}

}  // namespace locald::image
