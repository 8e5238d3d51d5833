#include "shim/mounts/early_filesystems.hpp"

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr unsigned none = std::numeric_limits<unsigned>::max();
// Fewer are not worth a thread: it takes as long to start as three of them.
constexpr std::size_t least = 32;

const char* text_or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

std::uint64_t new_mount_attributes(const PreparedMount& mount) {
    const std::uint64_t attributes = mount.options.set | mount.options.recursive_set;
    // Filled first, made read-only afterwards.
    return mount.mount->type == "tmpfs" ? attributes & ~static_cast<std::uint64_t>(MOUNT_ATTR_RDONLY) : attributes;
}

bool is_like_covered(const PreparedMount& mount) {
    const auto& data = mount.options.data;
    return mount.mount->type == "tmpfs" &&
           std::none_of(data.begin(), data.end(), [](const auto& entry) { return entry.first == "mode"; });
}

bool EarlyFilesystems::fits(const PreparedMount& mount) {
    return mount.mount->type == "tmpfs" && !mount.options.is_bind() && !mount.options.remount &&
           !mount.options.dest_nofollow;
}

EarlyFilesystems::EarlyFilesystems(const std::vector<PreparedMount>& mounts, const UniqueFd& root) : mounts_(mounts) {
    const auto count = static_cast<std::size_t>(std::count_if(mounts.begin(), mounts.end(), fits));
    if (count < least) return;
    places_.assign(mounts.size(), none);
    options_.reserve(count);  // the requests point there
    requests_.reserve(count);
    for (std::size_t i = 0; i < mounts.size(); ++i) {
        const PreparedMount& mount = mounts[i];
        if (!fits(mount)) continue;
        auto& options = options_.emplace_back();
        for (const auto& name : mount.options.super) options.push_back({name.c_str(), nullptr});
        for (const auto& [key, value] : mount.options.data) {
            options.push_back({key.c_str(), value ? value->c_str() : nullptr});
        }
        places_[i] = static_cast<unsigned>(requests_.size());
        mount_request& request = requests_.emplace_back();
        request.type = mount.mount->type.c_str();
        request.source = text_or_null(mount.mount->source);
        request.target = is_like_covered(mount) ? mount.target.c_str() : nullptr;
        request.options = options.data();
        request.option_count = static_cast<unsigned>(options.size());
        request.attributes = static_cast<unsigned>(new_mount_attributes(mount));
        request.mount = request.mode = -1;
    }
    row_.requests = requests_.data();
    row_.root = root.get();
    row_.count = static_cast<unsigned>(requests_.size());
    started_ = start_mount_thread(&row_) != 0;
}

EarlyFilesystems::~EarlyFilesystems() {
    if (!started_) return;
    end_mount_thread(&row_);
    for (const auto& request : requests_) {
        if (request.mount >= 0) ::close(request.mount);  // made and not taken: an error came between
    }
}

UniqueFd EarlyFilesystems::take(const PreparedMount& mount, int& mode) {
    const auto index = static_cast<std::size_t>(&mount - mounts_.data());
    if (!started_ || places_[index] == none || claim_mount(&row_, places_[index]) != 0) return {};
    mount_request& request = requests_[places_[index]];
    mode = request.mode;
    // A failure too: made again by the caller, who tells why it fails.
    return UniqueFd(std::exchange(request.mount, -1));
}

}  // namespace locald::shim
