#pragma once

// System calls without the C library: for code that runs before it has begun, or beside it in a thread that it does not
// know. No errno, no thread pointer; what comes back is the kernel's own word, -errno for an error.

#include <stdint.h>
#include <sys/syscall.h>

#if defined(LOCALD_FAKED_CALLS)

// For the fuzzer, which is the kernel then.
#define LOCALD_HAS_RAW_CALLS 1
long raw_call(long number, long a, long b, long c, long d, long e);
long raw_beside(void* args, long size, void (*body)(void*), void* argument);
static inline uintptr_t raw_thread_pointer(void) { return 0; }
static inline void raw_set_thread_pointer(uintptr_t pointer) { (void)pointer; }

#elif defined(__x86_64__)

#define LOCALD_HAS_RAW_CALLS 1

static inline long raw_call(long number, long a, long b, long c, long d, long e) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

/// clone(2) of a thread on a stack of its own, which runs `body(argument)` and must never return from it.
/// @param top  the stack's upper end, 16-byte aligned
/// @param tid  set to 0 and woken (futex(2)) by the kernel when the thread has ended
static inline long raw_thread(unsigned long flags, void* top, int* tid, void (*body)(void*), void* argument) {
    uintptr_t* stack = (uintptr_t*)top - 2;
    stack[0] = (uintptr_t)body;
    stack[1] = (uintptr_t)argument;
    long result;
    register long r10 __asm__("r10") = (long)tid;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile(
        "syscall\n"
        "test %%rax, %%rax\n"
        "jnz 1f\n"
        "xor %%ebp, %%ebp\n"
        "pop %%rax\n"
        "pop %%rdi\n"
        "call *%%rax\n"
        "ud2\n"
        "1:\n"
        : "=a"(result)
        : "a"((long)SYS_clone), "D"(flags), "S"(stack), "d"(0L), "r"(r10), "r"(r8)
        : "rcx", "r11", "memory");
    return result;
}

/// clone3(2) of a process that shares this one's memory, on a stack of its own (args->stack), and runs
/// `body(argument)`, which must never return.
static inline long raw_beside(void* args, long size, void (*body)(void*), void* argument) {
    long result;
    register void (*r12)(void*) __asm__("r12") = body;
    register void* r13 __asm__("r13") = argument;
    __asm__ volatile(
        "syscall\n"
        "test %%rax, %%rax\n"
        "jnz 1f\n"
        "xor %%ebp, %%ebp\n"
        "mov %%r13, %%rdi\n"
        "call *%%r12\n"
        "ud2\n"
        "1:\n"
        : "=a"(result)
        : "a"((long)SYS_clone3), "D"(args), "S"(size), "r"(r12), "r"(r13)
        : "rcx", "r11", "memory");
    return result;
}

/// The register by which a C library finds the thread it is in.
static inline uintptr_t raw_thread_pointer(void) {
    uintptr_t pointer;
    __asm__ volatile("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
}

static inline void raw_set_thread_pointer(uintptr_t pointer) {
    raw_call(SYS_arch_prctl, 0x1002 /* ARCH_SET_FS */, (long)pointer, 0, 0, 0);
}

#elif defined(__aarch64__)

#define LOCALD_HAS_RAW_CALLS 1

static inline long raw_call(long number, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}

/// As above. (clone's last two arguments stand the other way round here.)
static inline long raw_thread(unsigned long flags, void* top, int* tid, void (*body)(void*), void* argument) {
    uintptr_t* stack = (uintptr_t*)top - 2;
    stack[0] = (uintptr_t)body;
    stack[1] = (uintptr_t)argument;
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = (long)flags;
    register long x1 __asm__("x1") = (long)stack;
    register long x2 __asm__("x2") = 0;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = (long)tid;
    __asm__ volatile(
        "svc 0\n"
        "cbnz x0, 1f\n"
        "mov x29, #0\n"
        "mov x30, #0\n"
        "ldp x1, x0, [sp], #16\n"
        "blr x1\n"
        "brk #0\n"
        "1:\n"
        : "+r"(x0)
        : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
        : "memory");
    return x0;
}

/// As above.
static inline long raw_beside(void* args, long size, void (*body)(void*), void* argument) {
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = size;
    register void (*x20)(void*) __asm__("x20") = body;
    register void* x21 __asm__("x21") = argument;
    __asm__ volatile(
        "svc 0\n"
        "cbnz x0, 1f\n"
        "mov x29, #0\n"
        "mov x30, #0\n"
        "mov x0, x21\n"
        "blr x20\n"
        "brk #0\n"
        "1:\n"
        : "+r"(x0)
        : "r"(x8), "r"(x1), "r"(x20), "r"(x21)
        : "memory");
    return x0;
}

static inline uintptr_t raw_thread_pointer(void) {
    uintptr_t pointer;
    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(pointer));
    return pointer;
}

static inline void raw_set_thread_pointer(uintptr_t pointer) { __asm__ volatile("msr tpidr_el0, %0" : : "r"(pointer)); }

#endif
