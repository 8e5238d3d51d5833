#include "core/posix/procfs.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/vfs.h>

#include <cerrno>

#include "core/base/error.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::posix {

UniqueFd open_proc_root() {
    constexpr ino_t root_of_procfs = 1;  // nothing else on a procfs has it
    UniqueFd proc = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW);
    struct statfs fs {};
    if (::fstatfs(proc.get(), &fs) != 0) throw_errno(errno, "statfs /proc");
    if (fs.f_type != PROC_SUPER_MAGIC || fstat(proc, "/proc").st_ino != root_of_procfs) {
        throw Error(ErrorKind::denied, "/proc is not the root of a procfs");
    }
    return proc;
}

UniqueFd open_in_proc(const std::string& path, std::uint64_t flags) {
    try {
        return openat2(open_proc_root(), path, flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
    } catch (Error& e) {
        if (e.os_errno() == EXDEV) e.add_context("/proc/" + path + ": something is mounted over it");
        throw;
    }
}

}  // namespace locald::posix
