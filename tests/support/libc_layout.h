#pragma once

/* What one C library's headers say about the types and numbers that cross between a program and its C library. */
#ifdef __cplusplus
extern "C" {
#endif

struct layout_entry {
    const char* name;
    unsigned long value;
};

/* Ended by an entry without a name. The same source, compiled with glibc's headers and with musl's. */
extern const struct layout_entry glibc_layout[], musl_layout[];

#ifdef __cplusplus
}
#endif
