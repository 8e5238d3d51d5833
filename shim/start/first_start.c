// The first of the two starts that a runtime of root's makes (own_program.cpp says why there are two), before the C
// library has begun: opening its own file through a read-only mount and executing that takes four system calls, and a
// start of the library and of C++ would take as long as all of them. Nothing is decided here: whatever is not as it
// mostly is goes on to the real start, which protects the program itself, and where this has, sees that it is
// protected.
//
// No stack protector, no library, no errno, no static data: there is no thread pointer yet.

#include "shim/start/first_start.h"

#include <elf.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/start/prologue.h"
#include "shim/start/raw_call.h"
#include "shim/start/words.h"

#if defined(__x86_64__)
__asm__(
    ".text\n"
    ".globl locald_entry\n"
    ".type locald_entry,@function\n"
    "locald_entry:\n"
    "  .cfi_startproc\n"
    "  .cfi_undefined rip\n"
    "  xor %ebp, %ebp\n"
    "  mov %rsp, %rdi\n"
    "  push %rdx\n"  // the kernel's word for the C library
    "  sub $8, %rsp\n"
    "  call locald_first_start\n"
    "  add $8, %rsp\n"
    "  pop %rdx\n"
    "  jmp _start\n"
    "  .cfi_endproc\n"
    ".size locald_entry, . - locald_entry\n");
#elif defined(__aarch64__)
__asm__(
    ".text\n"
    ".globl locald_entry\n"
    ".type locald_entry,%function\n"
    "locald_entry:\n"
    "  .cfi_startproc\n"
    "  .cfi_undefined x30\n"
    "  mov x29, #0\n"
    "  mov x30, #0\n"
    "  mov x19, x0\n"  // the kernel's word for the C library
    "  mov x0, sp\n"
    "  bl locald_first_start\n"
    "  mov x0, x19\n"
    "  b _start\n"
    "  .cfi_endproc\n"
    ".size locald_entry, . - locald_entry\n");
#endif

// What <linux/mount.h> has only since the kernels that know it.
enum { mount_attr_rdonly = 1 };
struct attributes {
    uint64_t set, clear, propagation, user_namespace;
};

// A word that is a verb which starts something. One that only looks so costs a second start and nothing else.
static int starts_something(char** argv) {
    if (*argv == NULL) return 0;
    for (++argv; *argv != NULL; ++argv) {
        if (locald_makes_container(*argv) || locald_same(*argv, "exec")) return 1;
    }
    return 0;
}

void locald_first_start(long* stack);

void locald_first_start(long* stack) {
    char** argv = (char**)(stack + 1);
    char** envp = argv + stack[0] + 1;
    char** after = envp;
    while (*after != NULL) ++after;
    uint64_t ids = 1, secure = 1;
    const char* name = NULL;
    for (const Elf64_auxv_t* entry = (const Elf64_auxv_t*)(after + 1); entry->a_type != AT_NULL; ++entry) {
        if (entry->a_type == AT_UID) ids = entry->a_un.a_val;
        if (entry->a_type == AT_SECURE) secure = entry->a_un.a_val;
        if (entry->a_type == AT_EXECFN) name = (const char*)entry->a_un.a_val;
    }
    if (secure != 0) {
        locald_prologue(argv, envp);
        return;
    }
    // Started by a descriptor: the second start, or somebody who has his reasons.
    if (ids != 0 || name == NULL || locald_begins(name, "/dev/fd/") || !starts_something(argv)) return;

    const long mount =
        raw_call(SYS_open_tree, AT_FDCWD, (long)"/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, 0, 0);
    if (mount < 0) return;
    const struct attributes attributes = {mount_attr_rdonly, 0, 0, 0};
    if (raw_call(SYS_mount_setattr, mount, (long)"", AT_EMPTY_PATH, (long)&attributes, sizeof attributes) == 0) {
        // Left open, because the kernel waits for all processors when it closes such a mount: the second start closes
        // it when it has nothing else to do. The number is above those that callers hand over, below those that make
        // the kernel enlarge its table. Where it is somebody's, execve closes the mount.
        const long left = raw_call(SYS_fcntl, mount, F_DUPFD, locald_program_mount, 0, 0);
        if (left >= 0 && left != locald_program_mount) raw_call(SYS_close, left, 0, 0, 0, 0);
        const long program = left == locald_program_mount ? left : mount;
        raw_call(SYS_execveat, program, (long)"", (long)argv, (long)envp, AT_EMPTY_PATH);
        if (program == left) raw_call(SYS_close, left, 0, 0, 0, 0);
    }
    raw_call(SYS_close, mount, 0, 0, 0, 0);
}
