// What objects that were compiled with glibc's headers ask of their C library and musl does not have. Debian's
// libstdc++.a, libgcc_eh.a and libseccomp.a are such objects, and so are ours (docs/decisions/0008-shim-on-musl.md).
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>

extern "C" {

// libstdc++ counts references without locks while there is one thread. The seccomp agent's thread makes two.
extern const char __libc_single_threaded;
const char __libc_single_threaded = 0;

// libseccomp's listings are compiled with _FORTIFY_SOURCE.
[[gnu::format(printf, 3, 4)]] int __fprintf_chk(std::FILE* file, int /*level*/, const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    const int written = std::vfprintf(file, format, arguments);
    va_end(arguments);
    return written;
}

// musl's own sets FD_CLOEXEC once more with a call of its own, for kernels before 2.6.23.
int open(const char* path, int flags, ...) {
    std::va_list arguments;
    va_start(arguments, flags);
    const auto mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return ::openat(AT_FDCWD, path, flags, mode);
}

// Calls of the kernel that musl 1.2.3 has no function for.

int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) {
    return static_cast<int>(::syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int close_range(unsigned first, unsigned last, int flags) noexcept {
    return static_cast<int>(::syscall(SYS_close_range, first, last, flags));
}

int execveat(int dir, const char* path, char* const arguments[], char* const environment[], int flags) noexcept {
    return static_cast<int>(::syscall(SYS_execveat, dir, path, arguments, environment, flags));
}

int statx(int dir, const char* path, int flags, unsigned mask, struct statx* result) noexcept {
    return static_cast<int>(::syscall(SYS_statx, dir, path, flags, mask, result));
}

// makedev and its like, which glibc's headers inline only when they optimise.
dev_t gnu_dev_makedev(unsigned major, unsigned minor) noexcept {
    const dev_t high_major = major & ~0xfffU, high_minor = minor & ~0xffU;
    return high_major << 32U | high_minor << 12U | (major & 0xfffU) << 8U | (minor & 0xffU);
}

unsigned gnu_dev_major(dev_t device) noexcept {
    return static_cast<unsigned>((device >> 32U & ~dev_t{0xfff}) | (device >> 8U & 0xfffU));
}

unsigned gnu_dev_minor(dev_t device) noexcept {
    return static_cast<unsigned>((device >> 12U & ~dev_t{0xff}) | (device & 0xffU));
}

// Where the unwinder finds the frames of one static program: its own program headers say so. (<dlfcn.h> of glibc.)
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));
extern char _end[];

int _dl_find_object(void* /*address*/, struct dl_find_object* found) {
    const char* start = reinterpret_cast<const char*>(&__ehdr_start);
    const auto* header = reinterpret_cast<const ElfW(Phdr)*>(start + __ehdr_start.e_phoff);
    for (unsigned i = 0; i < __ehdr_start.e_phnum; ++i) {
        if (header[i].p_type != PT_GNU_EH_FRAME) continue;
        *found = {};
        found->dlfo_map_start = const_cast<char*>(start);
        found->dlfo_map_end = _end;
        // A position-independent program's addresses count from where it was loaded.
        const std::uintptr_t base = __ehdr_start.e_type == ET_DYN ? reinterpret_cast<std::uintptr_t>(start) : 0;
        found->dlfo_eh_frame = reinterpret_cast<void*>(base + header[i].p_vaddr);
        return 0;
    }
    return -1;
}
}
