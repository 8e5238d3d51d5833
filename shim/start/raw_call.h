#pragma once

// System calls without the C library: for code that runs before it has begun, or beside it in a thread that it does not
// know. No errno, no thread pointer; what comes back is the kernel's own word, -errno for an error.

#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)

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

#endif
