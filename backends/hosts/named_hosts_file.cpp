#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "backends/hosts/named_hosts.hpp"
#include "core/base/error.hpp"
#include "core/host/directories.hpp"
#include "core/host/handle.hpp"
#include "core/host/lock.hpp"
#include "core/host/stream.hpp"

namespace locald::backends {

namespace {

constexpr std::size_t file_most = 1U << 20U;

/// Where a link leads: the file may be kept elsewhere, and a rename would take the link away.
std::string target_of(const std::string& path) {
    char* real = ::realpath(path.c_str(), nullptr);
    if (real == nullptr) return path;
    std::string result = real;
    ::free(real);
    return result;
}

void replace_file(const std::string& path, const std::string& text) {
    const std::string target = target_of(path);
    std::string fresh = target + ".XXXXXX";
    const host::Handle file(::mkostemp(fresh.data(), O_CLOEXEC));  // 0600
    if (!file) throw_errno(errno, "write ", path, ": make a file beside it");
    try {
        host::write_all(file.get(), text);
        if (::fsync(file.get()) != 0) throw_errno(errno, "fsync ", fresh);
        if (::rename(fresh.c_str(), target.c_str()) != 0) throw_errno(errno, "rename ", fresh, " to ", target);
    } catch (Error& e) {
        ::unlink(fresh.c_str());
        throw e.add_context("write " + path);
    }
}

}  // namespace

std::string named_hosts_path() { return host::config_directory() + "/hosts.json"; }

NamedHosts read_own_named_hosts() {
    std::string path;
    try {
        path = named_hosts_path();
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::not_found) throw;
        return {};  // a user without a home has named no host
    }
    return read_named_hosts(path);
}

NamedHosts read_named_hosts(const std::string& path) {
    const host::Handle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    if (!file) {
        const int error = errno;
        // A directory that may not be entered is some other user's: HOME was kept through a change of user.
        if (error == ENOENT || error == ENOTDIR || ::lstat(path.c_str(), &info) != 0) return {};
        throw_errno(error, "read ", path);
    }
    if (::fstat(file.get(), &info) != 0) throw_errno(errno, "look at ", path);
    if (!S_ISREG(info.st_mode)) throw Error(ErrorKind::denied, "read " + path + ": it is no file");
    // Whoever writes it says which server is the right one.
    if ((info.st_uid != ::geteuid() && info.st_uid != 0) || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        throw Error(ErrorKind::denied, "read " + path + ": others than its user may write it")
            .with_remedy("look at what is in it, then `chmod 600 " + path + "` and have it be yours");
    }
    std::string text;
    host::read_to_end(file.get(), [&](std::string_view bytes) {
        if (text.size() + bytes.size() > file_most) {
            throw Error(ErrorKind::corrupt, "read " + path + ": it is larger than 1 MiB").with_remedy("move it away");
        }
        text += bytes;
    });
    return parse_named_hosts(text, path);
}

void change_named_hosts(const std::string& path, const std::function<void(NamedHosts&)>& change) {
    const std::string directory = path.substr(0, path.rfind('/'));
    if (struct stat info{}; ::stat(directory.c_str(), &info) != 0) host::ensure_private_directory(directory);
    const auto lock = host::FileLock::acquire(path + ".lock");
    auto hosts = read_named_hosts(path);
    change(hosts);
    replace_file(path, write_named_hosts(hosts));
}

}  // namespace locald::backends
