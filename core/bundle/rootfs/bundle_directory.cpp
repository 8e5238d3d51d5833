#include "core/bundle/rootfs/bundle_directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::bundle {

namespace {

struct DirCloser {
    void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

bool is_empty(const posix::UniqueFd& dir, const std::string& path) {
    posix::UniqueFd again = posix::openat(dir, ".", O_RDONLY | O_DIRECTORY);
    const std::unique_ptr<DIR, DirCloser> stream(::fdopendir(again.get()));
    if (!stream) throw_errno(errno, "read directory ", path);
    static_cast<void>(again.release());
    while (const dirent* entry = ::readdir(stream.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") return false;
    }
    return true;
}

/// True when made, false when something is there.
bool make(const std::string& path) {
    if (::mkdir(path.c_str(), S_IRWXU) == 0) return true;
    if (errno == ENOENT && path.find('/') != std::string::npos) {
        posix::make_directories(path.substr(0, path.rfind('/')));
        if (::mkdir(path.c_str(), S_IRWXU) == 0) return true;
    }
    if (errno != EEXIST) throw_errno(errno, "create directory ", path);
    return false;
}

std::string without_trailing_slashes(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}

}  // namespace

BundleDirectory::BundleDirectory(const std::string& path, image::UnpackContext& context)
    : path_(without_trailing_slashes(path)), context_(context) {
    is_ours_ = make(path_);
    try {
        if (!path_.starts_with('/')) path_ = posix::canonical_path(path_);
        dir_ = posix::open(path_, O_RDONLY | O_DIRECTORY);
        if (!is_ours_ && !is_empty(dir_, path_)) {
            throw Error(ErrorKind::exists, "use directory " + path_ + " for a bundle: it is not empty")
                .with_remedy("name a directory that is empty or does not exist yet");
        }
    } catch (...) {
        if (is_ours_) ::rmdir(path_.c_str());
        throw;
    }
}

BundleDirectory::~BundleDirectory() {
    if (!kept_) remove_all();
}

void BundleDirectory::remove_all() noexcept {
    // The error that brought us here is what the caller hears of; those of the clean-up go to the log, and one of them
    // does not keep the rest from being removed.
    const auto attempt = [](auto&& remove) noexcept {
        try {
            remove();
        } catch (const std::exception& e) {
            log(LogLevel::error, e.what());
        }
    };
    if (has_mapped_) attempt([&] { image::remove_mapped_tree(path_ + "/rootfs", context_); });
    for (const auto& name : made_) attempt([&] { posix::remove_tree_at(dir_, name); });
    if (is_ours_ && ::rmdir(path_.c_str()) != 0) {
        attempt([&] { throw_errno(errno, "remove ", path_); });
    }
}

void BundleDirectory::make_directory(const std::string& name) {
    made_.push_back(name);
    if (::mkdirat(dir_.get(), name.c_str(), 0755) != 0) throw_errno(errno, "create directory ", path_, "/", name);
    if (::fchmodat(dir_.get(), name.c_str(), 0755, 0) != 0) throw_errno(errno, "chmod ", path_, "/", name);
}

void BundleDirectory::write_file(const std::string& name, std::string_view text) {
    made_.push_back(name);
    const std::string shown = path_ + "/" + name;
    const posix::UniqueFd file = in_step(
        "create " + shown, [&] { return posix::openat(dir_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644); });
    posix::write_all(file, text, shown);
    if (::fchmod(file.get(), 0644) != 0) throw_errno(errno, "chmod ", shown);
}

void BundleDirectory::flatten(const image::UnpackedImage& layers, const CancelToken& cancel) {
    made_.emplace_back("rootfs");
    has_mapped_ = context_.maps.has_value();
    image::flatten(layers, path_ + "/rootfs", context_, cancel);
}

std::string BundleDirectory::keep() {
    kept_ = true;
    return path_;
}

}  // namespace locald::bundle
