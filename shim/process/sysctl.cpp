#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/process/process.hpp"

namespace locald::shim {

namespace {

// Keys of the ipc namespace (ipc_namespaces(7)).
constexpr std::array<std::string_view, 8> ipc_keys{
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
    "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
};

/// True when the container does not share its `type` namespace with us. A joined one counts unless it is ours.
bool has_own(const oci::Spec& spec, std::string_view type) {
    if (!spec.linux_) return false;
    for (const auto& ns : spec.linux_->namespaces) {
        if (ns.type != type) continue;
        if (ns.path.empty()) return true;
        const std::string ours = "/proc/self/ns/" + std::string(type == "network" ? "net" : type);
        struct stat theirs {
        }, mine{};
        if (::stat(ns.path.c_str(), &theirs) != 0 || ::stat(ours.c_str(), &mine) != 0) return true;
        return theirs.st_ino != mine.st_ino || theirs.st_dev != mine.st_dev;
    }
    return false;
}

/// The dotted name as a path below /proc/sys.
std::string path_below_sys(std::string name) {
    for (char& c : name) c = c == '.' ? '/' : c == '/' ? '.' : c;
    return name;
}

[[noreturn]] void refuse(const std::string& key, const std::string& why, const std::string& remedy) {
    throw Error(ErrorKind::invalid, "linux.sysctl: sysctl " + json_quote(key) + " " + why).with_remedy(remedy);
}

void check(const oci::Spec& spec, const std::string& key, const std::string& value) {
    const std::string name = sysctl_name(key);
    const std::string path = path_below_sys(name);
    const auto parts = split(path, '/');
    // A part of the path that is empty or dots would leave the key that the prefixes below allow.
    const bool odd = name.find('\0') != std::string::npos || std::any_of(parts.begin(), parts.end(), [](auto part) {
                         return part.empty() || part == "." || part == "..";
                     });
    if (odd) refuse(key, "is not a valid name", "write it as in sysctl.d(5), such as net.ipv4.ip_forward");
    if (value.find('\0') != std::string::npos || value.find('\n') != std::string::npos) {
        refuse(key, "has a value with a line end or a NUL", "give one line");
    }
    const bool ipc =
        std::find(ipc_keys.begin(), ipc_keys.end(), name) != ipc_keys.end() || name.starts_with("fs.mqueue.");
    if (ipc) {
        if (!has_own(spec, "ipc")) refuse(key, "is not allowed in the hosts ipc namespace", "add an ipc namespace");
    } else if (name.starts_with("net.")) {
        if (!has_own(spec, "network")) refuse(key, "not allowed in host network namespace", "add a network namespace");
    } else if (name == "kernel.domainname") {
        if (!has_own(spec, "uts")) refuse(key, "is not allowed in the hosts uts namespace", "add a uts namespace");
    } else if (name == "kernel.hostname") {
        refuse(key, "conflicts with the hostname field", "set hostname instead");
    } else if (name.starts_with("user.")) {
        if (!has_own(spec, "user")) refuse(key, "is not allowed in the hosts user namespace", "add a user namespace");
    } else {
        refuse(key, "is not in a separate kernel namespace", "set it on the host; containers share it");
    }
}

}  // namespace

std::string sysctl_name(const std::string& key) {
    const auto first = key.find_first_of("./");
    std::string name = key;
    if (first != std::string::npos && key[first] == '/') {
        for (char& c : name) c = c == '/' ? '.' : c == '.' ? '/' : c;
    }
    return name;
}

void check_sysctls(const oci::Spec& spec) {
    if (!spec.linux_) return;
    for (const auto& [key, value] : spec.linux_->sysctl) check(spec, key, value);
}

void write_sysctls(const oci::Linux& config, const posix::UniqueFd& proc) {
    for (const auto& [key, value] : config.sysctl) {
        const std::string path = "sys/" + path_below_sys(sysctl_name(key));
        try {
            const auto file =
                posix::openat2(proc, path, O_WRONLY | O_NOFOLLOW,
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
            struct statfs fs {};
            if (::fstatfs(file.get(), &fs) != 0) throw_errno(errno, "statfs ", path);
            if (fs.f_type != PROC_SUPER_MAGIC) throw Error(ErrorKind::denied, path + " is not on a procfs");
            posix::write_all(file, value, path);
        } catch (Error& e) {
            e.add_context("set linux.sysctl " + key + " = " + json_quote(value));
            if (e.os_errno() == ENOENT) e.with_remedy("this kernel has no such key in the container's namespaces");
            if (e.os_errno() == EACCES || e.os_errno() == EPERM) {
                e.with_remedy("only root of the namespace's owner may write it; leave it out for an ordinary user");
            }
            throw;
        }
    }
}

}  // namespace locald::shim
