#pragma once

// The little of <string.h> that is needed before there is a C library.

static inline int locald_same(const char* a, const char* b) {
    while (*a != 0 && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

static inline int locald_begins(const char* text, const char* prefix) {
    while (*prefix != 0) {
        if (*text++ != *prefix++) return 0;
    }
    return 1;
}

/// A verb that makes a container.
static inline int locald_makes_container(const char* verb) {
    return locald_same(verb, "run") || locald_same(verb, "create") || locald_same(verb, "bundle") ||
           locald_same(verb, "restore");
}
