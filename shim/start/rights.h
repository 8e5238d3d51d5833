#pragma once

// What the first moments of a start found out and made: written by prologue.c, read by the rest of the program.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum locald_mode {
    locald_own_rights = 0,  ///< root or rootless: nothing was given up, nothing was made
    locald_was_setuid = 1,  ///< started by the setuid bit; root was given up for good
    locald_refused = 2,     ///< the same, and `words` say why nothing was made
};

/// A process in the caller's own cgroup subtree, where the kernel lets no ordinary user go from outside. It shares our
/// memory and descriptors, has the caller's rights, and makes one process for us (birth.c).
struct locald_foothold {
    int pid;             ///< 0: there is none
    uint32_t turn;       ///< futex: 0 nobody asked, 1 asked, 2 answered
    int user_namespace;  ///< descriptor of the one to enter before; -1: none
    void* args;          ///< struct clone_args of the process wanted
    uint64_t args_size;
    uintptr_t thread_pointer;  ///< the asking thread's, so that the child finds its C library
    void (*body)(void*);       ///< what the child runs; it never returns
    void* argument;
    long result;  ///< the child's pid, or -errno
};

struct locald_rights {
    enum locald_mode mode;
    int user_namespace;                 ///< descriptor of the caller's new user namespace; -1: none was wanted
    int full_map;                       ///< 1: his grants are mapped; 0: his own ids alone
    char uid_map[1024], gid_map[1024];  ///< of that namespace, as /proc/PID/uid_map takes them
    struct locald_foothold foothold;
    char words[400];    ///< why it was refused
    int error;          ///< the errno that belongs to them, or 0
    int members_only;   ///< `words` are the group whose members alone are let through
    char warning[400];  ///< what could not be had, though it goes on
};

extern struct locald_rights locald_rights;

/// Ends the start with `what` `object` `why`, of which the kernel said `error` (-errno, or 0). @return -1
int locald_refuse(const char* what, const char* object, const char* why, long error);

#ifdef __cplusplus
}
#endif
