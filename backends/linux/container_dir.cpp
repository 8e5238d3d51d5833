#include "backends/linux/container_dir.hpp"

#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"

namespace locald::backends {

namespace {

std::optional<host::FileLock> acquire(const std::string& path) {
    try {
        return host::FileLock::try_acquire(path);
    } catch (Error& e) {
        if (e.os_errno() == EROFS) {
            e.with_remedy("a container's files need a place that can be written: remount it, or set XDG_DATA_HOME");
        } else if (e.kind() == ErrorKind::no_space) {
            e.with_remedy("free space on that file system, or set XDG_DATA_HOME to a directory on another");
        }
        throw;
    }
}

}  // namespace

ContainerDirs::ContainerDirs(std::string data_directory)
    : containers_(data_directory + "/containers"), locks_(std::move(data_directory) + "/locks") {
    posix::make_directories(containers_, 0700);
    posix::make_directories(locks_, 0700);
}

std::string ContainerDirs::path_of(const std::string& id) const {
    check_container_id(id);
    return containers_ + "/" + id;
}

std::string ContainerDirs::lock_path_of(const std::string& id) const {
    check_container_id(id);
    return locks_ + "/container-" + id;
}

std::optional<host::FileLock> ContainerDirs::try_claim(const std::string& id) const {
    const std::string path = lock_path_of(id);
    for (;;) {
        auto lock = acquire(path);
        if (!lock) return std::nullopt;
        // The owner before us may have removed the file between our open and our lock: then ours is a lock on nothing.
        struct stat held {};
        struct stat named {};
        if (::fstat(lock->handle(), &held) != 0) throw_errno(errno, "stat ", path);
        if (::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino && held.st_dev == named.st_dev)
            return lock;
    }
}

host::FileLock ContainerDirs::claim(const std::string& id) const {
    auto lock = try_claim(id);
    if (lock) return std::move(*lock);
    throw Error(ErrorKind::exists, "create " + id + ": container with given ID already exists")
        .with_remedy("choose another --name, or wait until it has ended");
}

void ContainerDirs::forget(const std::string& id) const noexcept {
    try {
        ::unlink(lock_path_of(id).c_str());
    } catch (const std::exception& e) {
        log(LogLevel::debug, e.what());
    }
}

void ContainerDirs::sweep(const std::function<void(const std::string& id)>& remove) const {
    for (const auto& id : posix::names_in(containers_)) {
        if (!is_container_id(id)) continue;
        const auto lock = try_claim(id);
        if (!lock) continue;
        struct stat st {};
        if (::lstat(path_of(id).c_str(), &st) == 0) remove(id);
        forget(id);
    }
}

std::string make_container_id() {
    std::array<unsigned char, 16> raw{};
    if (::getrandom(raw.data(), raw.size(), 0) != static_cast<ssize_t>(raw.size())) throw_errno(errno, "getrandom");
    std::string id;
    for (const unsigned char byte : raw) {
        id += "0123456789abcdef"[byte >> 4U];
        id += "0123456789abcdef"[byte & 0xFU];
    }
    return id;
}

}  // namespace locald::backends
