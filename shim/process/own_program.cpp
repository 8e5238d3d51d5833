// CVE-2019-5736: a container gets hold of the file of the program that starts it and writes there what the host's root
// executes next time. There are many ways to the file: the container's program is /proc/self/exe, or a script whose
// interpreter that is, so that the shim's file becomes a program of the container; a process in the container opens
// /proc/PID/exe of one that joins; a descriptor held until nothing executes the file any more is opened again for
// writing. All go through the mount that the kernel found our program by. So that mount is one of our own: it shows
// this file alone, is read-only, and is attached nowhere, so that no mount namespace has the right to change it.
//
// That costs a second start and no copy. Root's first one ends before the C library begins (start/first_start.c); what
// it has done is checked here. A copy, sealed, is what is left where the caller may make no mounts: for an ordinary
// user to whom the shim's file belongs.

#include "shim/process/own_program.hpp"

#include <elf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/mounts/mount_api.hpp"
#include "shim/start/first_start.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace locald::shim {

using posix::UniqueFd;

namespace {

constexpr const char* own_link = "/proc/self/exe";
constexpr const char* own_name = "locald-shim";
char* const* arguments = nullptr;
int held_mount = -1;
constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

std::string link_of(const UniqueFd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

[[noreturn]] void throw_no_proc(int err) {
    throw Error(kind_of_errno(err),
                std::string("protect the runtime's own program: ") + own_link + ": " + errno_text(err), err)
        .with_remedy("a procfs must be mounted at /proc");
}

bool is_sealed(const std::string& link) {
    const UniqueFd file(::open(link.c_str(), O_RDONLY | O_CLOEXEC));
    return file && (::fcntl(file.get(), F_GET_SEALS) & all_seals) == all_seals;
}

/// A mount of the file alone. Empty where that is not possible: without CAP_SYS_ADMIN over the mount namespace, before
/// Linux 5.12, or when the program lies in a mount of another namespace.
UniqueFd make_readonly_mount() {
    UniqueFd mount(static_cast<int>(
        ::syscall(SYS_open_tree, AT_FDCWD, own_link, static_cast<unsigned>(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC))));
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (!mount || ::syscall(SYS_mount_setattr, mount.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0 ||
        !is_unwritable(link_of(mount))) {
        return {};
    }
    return mount;
}

UniqueFd make_memfd() {
    // Kernels since 6.3 may be set to give a memfd no execute bit unasked; older ones do not know how to be asked.
    UniqueFd copy(::memfd_create(own_name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
    if (!copy && errno == EINVAL) copy.reset(::memfd_create(own_name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!copy) throw_errno(errno, "protect the runtime's own program: make a copy");
    return copy;
}

UniqueFd make_sealed_copy() {
    const std::string what = "protect the runtime's own program: make a copy";
    const UniqueFd original = in_step(what, [] { return posix::open(own_link, O_RDONLY); });
    const struct stat st = posix::fstat(original, own_link);
    UniqueFd copy = make_memfd();
    std::size_t left = mapped_size(original.get(), static_cast<std::size_t>(st.st_size));
    while (left > 0) {
        const ssize_t n = ::sendfile(copy.get(), original.get(), nullptr, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) throw_errno(n < 0 ? errno : EIO, what);
        left -= static_cast<std::size_t>(n);
    }
    if (::fcntl(copy.get(), F_ADD_SEALS, all_seals) != 0) throw_errno(errno, what, ": seal it");
    return copy;
}

/// The descriptor that the first start left open, if this is the second and it is still there: a number that somebody
/// else may have handed over is his.
void adopt_program_mount() {
    static const std::string started_from = "/dev/fd/" + std::to_string(locald_program_mount);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel gives pointers that way
    const auto* name = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
    struct stat mount {};
    struct stat program {};
    if (name == nullptr || name != started_from || ::fstat(locald_program_mount, &mount) != 0) return;
    if (::stat(own_link, &program) != 0 || mount.st_dev != program.st_dev || mount.st_ino != program.st_ino) return;
    held_mount = locald_program_mount;
}

/// Comes back only when it failed.
void start_again(const UniqueFd& program) {
    ::syscall(SYS_execveat, program.get(), "", arguments, environ, AT_EMPTY_PATH);
}

}  // namespace

bool is_unwritable(const std::string& link) {
    struct statfs fs {};
    if (::statfs(link.c_str(), &fs) != 0) return false;
    if (fs.f_type == TMPFS_MAGIC && is_sealed(link)) return true;
    if ((fs.f_flags & ST_RDONLY) == 0) return false;
    // Read-only alone is not enough: whoever owns the namespace of an attached mount may change that while a container
    // waits. Of a file whose mount is attached nowhere the kernel knows no way from any root: it is "/" itself.
    std::array<char, 16> text{};
    const ssize_t n = ::readlink(link.c_str(), text.data(), text.size());
    return n > 0 && std::string_view(text.data(), static_cast<std::size_t>(n)) == "/";
}

bool needs_protection(const struct stat& program, unsigned caller) noexcept {
    // Root's containers may share root's ids. Those of an ordinary user have his and such that root granted, in a user
    // namespace that maps no others: what belongs to root they can write only if everybody or a group may.
    constexpr mode_t others = S_IWGRP | S_IWOTH;
    return caller == 0 || program.st_uid != 0 || (program.st_mode & others) != 0;
}

std::size_t mapped_size(int file, std::size_t size) noexcept {
    Elf64_Ehdr header{};
    if (::pread(file, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header) ||
        std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_phentsize != sizeof(Elf64_Phdr)) {
        return size;
    }
    std::size_t end = sizeof header;
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr segment{};
        const auto at = static_cast<off_t>(header.e_phoff + i * sizeof segment);
        if (::pread(file, &segment, sizeof segment, at) != static_cast<ssize_t>(sizeof segment)) return size;
        end = std::max({end, static_cast<std::size_t>(at) + sizeof segment, segment.p_offset + segment.p_filesz});
    }
    return std::min(end, size);
}

void close_program_mount() noexcept {
    if (held_mount >= 0) ::close(std::exchange(held_mount, -1));
}

void remember_arguments(char** argv) noexcept { arguments = argv; }

void run_from_unwritable_program() {
    if (arguments == nullptr) return;
    const uid_t caller = ::geteuid();
    struct stat st {};
    // Root's always does, so the second start looks at no more than it must.
    if (caller != 0 && ::stat(own_link, &st) != 0) throw_no_proc(errno);
    if (!needs_protection(st, caller)) return;
    if (is_unwritable(own_link)) {
        adopt_program_mount();
        // Started by a descriptor, older kernels call us by its number.
        static_cast<void>(::prctl(PR_SET_NAME, own_name, 0, 0, 0));
        return;
    }
    if (caller == 0 && ::stat(own_link, &st) != 0) throw_no_proc(errno);
    if (const UniqueFd mount = make_readonly_mount()) start_again(mount);
    const UniqueFd copy = make_sealed_copy();
    start_again(copy);
    const int err = errno;
    throw Error(kind_of_errno(err), "protect the runtime's own program: execute the sealed copy: " + errno_text(err),
                err)
        .with_remedy(
            "install locald-shim so that it belongs to root and only root may write it; see also "
            "/proc/sys/vm/memfd_noexec");
}

}  // namespace locald::shim
