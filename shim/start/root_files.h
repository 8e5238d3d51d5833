#pragma once

// The files of root's that the prologue reads, and the little that stands in for a C library there. Every text is
// checked to its end; a file that somebody but root may write is refused.

#include <linux/stat.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A text that is being written into an array; what does not fit is left out, and it always ends with a NUL.
struct locald_text {
    char *at, *end;
};
void locald_add(struct locald_text* text, const char* words);
void locald_add_number(struct locald_text* text, uint64_t number);
/// `0 1000 1\n`: first id inside, first id outside, how many (user_namespaces(7)).
void locald_add_map_line(struct locald_text* text, uint32_t inside, uint32_t outside, uint32_t count);

/// openat2 with O_CLOEXEC | O_NOCTTY. @return the descriptor, or -errno
int locald_open(int dir, const char* path, int flags, uint64_t resolve);
int locald_open_directory(int dir, const char* path, uint64_t resolve);
/// @return O_PATH of dir/name, made where it was not; or the error that kept it from being there
int locald_make_directory(int dir, const char* name, unsigned mode);
/// statx of a descriptor. @return 0, or -errno
long locald_look(int fd, struct statx* st);

enum { locald_longest_name = 256, locald_most_ranges = 16 };

/// Ids first … first+count-1 of the host.
struct locald_range {
    uint32_t first, count;
};
struct locald_ranges {
    unsigned count;
    struct locald_range range[locald_most_ranges];
};

/// /etc/locald/shim.conf; a file that is not there leaves the defaults.
struct locald_policy {
    int has_group;
    unsigned group;
    char group_name[locald_longest_name];
    uint64_t containers, pids, memory;  ///< of one user, together; memory in bytes, ~0: no limit of its own
    struct locald_ranges ids;           ///< what subuid and subgid may grant; none: anything
    int network_helper;
};
/// What is in force where shim.conf does not say it; of memory there is no limit then but those on the caller's own
/// way.
enum { locald_default_containers = 1024, locald_default_pids = 32768 };
/// @return 0; -1 with the reason in `words`
int locald_read_policy(struct locald_policy* policy, char* words, unsigned long size);

/// The first name of a uid in /etc/passwd, or an empty text. No NSS: that would load and ask programs.
void locald_find_user(unsigned uid, char name[locald_longest_name]);

/// The caller's lines of /etc/subuid or /etc/subgid, in their order (subuid(5)), by name or number.
/// @param own  the caller's own id of this kind, which no range may hold
/// @return 0; -1 with the reason in `words`: bad syntax in a line of his, an overlap, 0 or his own id in a range
int locald_read_ranges(const char* path, const char* name, unsigned uid, unsigned own,
                       const struct locald_policy* policy, struct locald_ranges* ranges, char* words,
                       unsigned long size);

/// The least value of `file` on the way from the root of a cgroup hierarchy to the caller's own cgroup, or `most`.
/// @param controller  of version 1, as /proc/self/cgroup names it; empty on version 2
uint64_t locald_tightest(int mount, const char* controller, const char* file, uint64_t most);

#ifdef __cplusplus
}
#endif
