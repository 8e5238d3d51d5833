#include "shim/start/root_files.h"

#include <errno.h>
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <stddef.h>

#include "shim/start/raw_call.h"
#include "shim/start/weakness.h"
#include "shim/start/words.h"

#ifdef LOCALD_HAS_RAW_CALLS

// ---------------------------------------------------------------- instead of a C library

void locald_add(struct locald_text* text, const char* words) {
    while (*words != 0 && text->at < text->end - 1) *text->at++ = *words++;
    *text->at = 0;
}

void locald_add_number(struct locald_text* text, uint64_t number) {
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    locald_add(text, digits + at);
}

void locald_add_map_line(struct locald_text* text, uint32_t inside, uint32_t outside, uint32_t count) {
    locald_add_number(text, inside);
    locald_add(text, " ");
    locald_add_number(text, outside);
    locald_add(text, " ");
    locald_add_number(text, count);
    locald_add(text, "\n");
}

int locald_open(int dir, const char* path, int flags, uint64_t resolve) {
    const struct open_how how = {(unsigned)(flags | O_CLOEXEC | O_NOCTTY), 0, resolve};
    // O_PATH takes no O_NOCTTY.
    const struct open_how path_only = {(unsigned)(flags | O_CLOEXEC), 0, resolve};
    return (int)raw_call(SYS_openat2, dir, (long)path, (long)((flags & O_PATH) != 0 ? &path_only : &how), sizeof how,
                         0);
}

int locald_open_directory(int dir, const char* path, uint64_t resolve) {
    return locald_open(dir, path, O_PATH | O_DIRECTORY, resolve);
}

int locald_make_directory(int dir, const char* name, unsigned mode) {
    const long made = raw_call(SYS_mkdirat, dir, (long)name, mode, 0, 0);
    const int fd = locald_open_directory(dir, name, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    return fd == -ENOENT && made < 0 ? (int)made : fd;
}

long locald_look(int fd, struct statx* st) {
    st->stx_mode = 0;
    st->stx_uid = UINT32_MAX;
    return raw_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_BASIC_STATS, (long)st);
}

// Decimal digits up to `stop` and nothing else. @return 1 when that is what is there
static int take_number(const char** at, char stop, uint64_t most, uint64_t* out) {
    const char* c = *at;
    uint64_t value = 0;
    if (*c < '0' || *c > '9') return 0;
    for (; *c >= '0' && *c <= '9'; ++c) {
        const uint64_t digit = (uint64_t)(*c - '0');
        if (value > (most - digit) / 10) return 0;
        value = value * 10 + digit;
    }
    if (*c != stop) return 0;
    *at = c + (stop != 0);
    *out = value;
    return 1;
}

// ---------------------------------------------------------------- lines

struct lines {
    int fd;
    unsigned at, have, number;
    int cut;     // the line is longer than the array: only its beginning is here
    int failed;  // read(2) did
    char text[4096];
};

// The next line without its end, or NULL.
static char* next_line(struct lines* lines) {
    lines->cut = 0;
    ++lines->number;
    for (;;) {
        for (unsigned i = lines->at; i < lines->have; ++i) {
            if (lines->text[i] != '\n') continue;
            char* line = lines->text + lines->at;
            lines->text[i] = 0;
            lines->at = i + 1;
            return line;
        }
        const unsigned room = sizeof lines->text - 1;
        const unsigned rest = lines->have - lines->at;
        if (rest == room) {  // given back as far as it goes; the rest is passed over
            lines->text[rest] = 0;
            lines->at = lines->have = 0;
            lines->cut = 1;
            for (char c = 0; c != '\n';) {
                if (raw_call(SYS_read, lines->fd, (long)&c, 1, 0, 0) != 1) break;
            }
            return lines->text;
        }
        for (unsigned i = 0; i < rest; ++i) lines->text[i] = lines->text[lines->at + i];
        lines->at = 0;
        lines->have = rest;
        const long n = raw_call(SYS_read, lines->fd, (long)(lines->text + rest), room - rest, 0, 0);
        if (n == -EINTR) continue;
        if (n < 0) lines->failed = 1;
        if (n <= 0) {
            if (rest == 0) return NULL;
            lines->text[rest] = 0;
            lines->at = lines->have = 0;
            return lines->text;
        }
        lines->have += (unsigned)n;
    }
}

enum { opened = 1, absent = 0, not_regular = -1, not_roots = -2, others_write = -3, unreadable = -4 };

static int open_lines(struct lines* lines, const char* path, uint64_t resolve) {
    struct statx st;
    lines->at = lines->have = lines->number = 0;
    lines->cut = lines->failed = 0;
    lines->fd = locald_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, resolve);
    if (lines->fd == -ENOENT || lines->fd == -ENOTDIR) return absent;
    if (lines->fd < 0) return lines->fd == -ELOOP ? not_regular : unreadable;
    int result = opened;
    if (locald_look(lines->fd, &st) != 0) result = unreadable;
    if (result == opened && !locald_weak("weak-files")) {
        if ((st.stx_mode & 022) != 0) result = others_write;
        if (st.stx_uid != 0) result = not_roots;
        if ((st.stx_mode & 0170000) != 0100000 /* S_IFREG */) result = not_regular;
    }
    if (result != opened) raw_call(SYS_close, lines->fd, 0, 0, 0, 0);
    return result;
}

// Not every line of root's is for the caller's eyes, and he may look into us when root is given up.
static void close_lines(struct lines* lines) {
    raw_call(SYS_close, lines->fd, 0, 0, 0, 0);
    if (!locald_weak("weak-remains")) __builtin_memset(lines->text, 0, sizeof lines->text);
}

struct said {
    char* words;
    unsigned long size;
    const char* path;
};

static int say(const struct said* said, unsigned line, const char* words, const char* more) {
    struct locald_text text = {said->words, said->words + said->size};
    locald_add(&text, said->path);
    if (line != 0) {
        locald_add(&text, ", line ");
        locald_add_number(&text, line);
    }
    locald_add(&text, ": ");
    locald_add(&text, words);
    locald_add(&text, more);
    return -1;
}

static int say_unusable(const struct said* said, int why) {
    if (why == unreadable) return say(said, 0, "it cannot be read", "");
    return say(said, 0, "it must be a regular file of root's that nobody else may write, and ",
               why == not_regular ? "is no regular file"
               : why == not_roots ? "belongs to another user"
                                  : "its mode lets others write");
}

// ---------------------------------------------------------------- passwd, group

// The field at *at up to the next `:`, ended with a NUL; *at goes behind it. NULL: there is none.
static char* take_field(char** at) {
    char* begin = *at;
    for (char* c = begin; *c != 0; ++c) {
        if (*c != ':') continue;
        *c = 0;
        *at = c + 1;
        return begin;
    }
    return NULL;
}

void locald_find_user(unsigned uid, char name[locald_longest_name]) {
    static struct lines lines;
    name[0] = 0;
    if (open_lines(&lines, "/etc/passwd", 0) != opened) return;
    for (char* line; (line = next_line(&lines)) != NULL;) {
        const char* const found = take_field(&line);
        char* const password = found != NULL ? take_field(&line) : NULL;
        uint64_t number;
        const char* rest = line;
        if (password == NULL || *found == 0 || !take_number(&rest, ':', UINT32_MAX, &number) || number != uid) continue;
        struct locald_text text = {name, name + locald_longest_name};
        locald_add(&text, found);
        if (text.at == text.end - 1) name[0] = 0;  // half a name could be another user's
        break;
    }
    close_lines(&lines);
}

static int find_group(const char* name, unsigned* gid) {
    static struct lines lines;
    uint64_t number = 0;
    const char* rest = name;
    if (take_number(&rest, 0, UINT32_MAX - 1, &number)) {
        *gid = (unsigned)number;
        return 1;
    }
    if (open_lines(&lines, "/etc/group", 0) != opened) return 0;
    int result = 0;
    for (char* line; !result && (line = next_line(&lines)) != NULL;) {
        const char* const found = take_field(&line);
        char* const password = found != NULL ? take_field(&line) : NULL;
        rest = line;
        if (password == NULL || !locald_same(found, name) || !take_number(&rest, ':', UINT32_MAX - 1, &number))
            continue;
        *gid = (unsigned)number;
        result = 1;
    }
    close_lines(&lines);
    return result;
}

// ---------------------------------------------------------------- subuid, subgid

static int overlaps(const struct locald_range* a, const struct locald_range* b) {
    return a->first < (uint64_t)b->first + b->count && b->first < (uint64_t)a->first + a->count;
}

static int holds(const struct locald_range* range, uint32_t id) {
    return id >= range->first && id - range->first < range->count;
}

static int allowed(const struct locald_policy* policy, const struct locald_range* range) {
    for (unsigned i = 0; i < policy->ids.count; ++i) {
        const struct locald_range* ids = &policy->ids.range[i];
        if (range->first >= ids->first && (uint64_t)range->first + range->count <= (uint64_t)ids->first + ids->count)
            return 1;
    }
    return policy->ids.count == 0;
}

static int check_range(const struct locald_range* range, unsigned own, const struct locald_policy* policy,
                       const struct locald_ranges* ranges, const struct said* said, unsigned line) {
    if (locald_weak("weak-ranges")) return 0;
    if (holds(range, 0)) return say(said, line, "the range holds the id 0, which is root's", "");
    if (holds(range, own)) return say(said, line, "the range holds the caller's own id", "");
    for (unsigned i = 0; i < ranges->count; ++i) {
        if (overlaps(range, &ranges->range[i])) return say(said, line, "the range overlaps one before it", "");
    }
    if (allowed(policy, range)) return 0;
    return say(said, line, "the range is not within `ids` of /etc/locald/shim.conf", "");
}

int locald_read_ranges(const char* path, const char* name, unsigned uid, unsigned own,
                       const struct locald_policy* policy, struct locald_ranges* ranges, char* words,
                       unsigned long size) {
    static struct lines lines;
    const struct said said = {words, size, path};
    ranges->count = 0;
    const int how = open_lines(&lines, path, 0);
    if (how == absent) return 0;
    if (how != opened) return say_unusable(&said, how);
    int result = 0;
    for (char* line; result == 0 && (line = next_line(&lines)) != NULL;) {
        const int cut = lines.cut;
        const char* const owner = take_field(&line);
        uint64_t number, first, count;
        const char* rest = owner;
        if (owner == NULL || *owner == 0) continue;
        const int by_number = take_number(&rest, 0, UINT32_MAX, &number) && number == uid;
        if (!by_number && !(name[0] != 0 && locald_same(owner, name))) continue;
        rest = line;
        if (cut || !take_number(&rest, ':', UINT32_MAX - 1, &first) || !take_number(&rest, 0, UINT32_MAX, &count) ||
            count == 0 || first + count > UINT32_MAX) {
            result = say(&said, lines.number, "expected NAME:FIRST:COUNT with ids below 4294967295", "");
            break;
        }
        const struct locald_range range = {(uint32_t)first, (uint32_t)count};
        result = check_range(&range, own, policy, ranges, &said, lines.number);
        if (result != 0) break;
        if (ranges->count == locald_most_ranges) {
            result = say(&said, lines.number, "more than 16 ranges of one user", "");
            break;
        }
        ranges->range[ranges->count++] = range;
    }
    if (result == 0 && lines.failed) result = say_unusable(&said, unreadable);
    close_lines(&lines);
    return result;
}

// ---------------------------------------------------------------- policy

static uint64_t unit_of(const char* letter) {
    if (letter[0] == 0) return 1;
    if (letter[1] != 0) return 0;
    const char upper = (char)(letter[0] & ~0x20);
    const int shift = upper == 'K' ? 10 : upper == 'M' ? 20 : upper == 'G' ? 30 : upper == 'T' ? 40 : 0;
    return shift == 0 ? 0 : 1ULL << shift;
}

static int take_amount(const char* value, int sizes, uint64_t* out) {
    uint64_t number = 0;
    char digits[24];
    unsigned length = 0;
    while (value[length] >= '0' && value[length] <= '9' && length < sizeof digits - 1) {
        digits[length] = value[length];
        ++length;
    }
    digits[length] = 0;
    const char* rest = digits;
    const uint64_t unit = sizes ? unit_of(value + length) : value[length] == 0;
    if (unit == 0 || !take_number(&rest, 0, (~0ULL >> 1) / unit, &number) || number == 0) return 0;
    *out = number * unit;
    return 1;
}

static int take_ids(const char* value, struct locald_ranges* ids) {
    uint64_t first, last;
    if (!take_number(&value, '-', UINT32_MAX - 1, &first) || !take_number(&value, 0, UINT32_MAX - 1, &last)) return 0;
    if (last < first || ids->count == locald_most_ranges) return 0;
    ids->range[ids->count].first = (uint32_t)first;
    ids->range[ids->count].count = (uint32_t)(last - first + 1);
    ++ids->count;
    return 1;
}

static char* trimmed(char* text) {
    while (*text == ' ' || *text == '\t') ++text;
    char* end = text;
    for (char* c = text; *c != 0; ++c) {
        if (*c != ' ' && *c != '\t') end = c + 1;
    }
    *end = 0;
    return text;
}

enum { key_group = 1, key_containers = 2, key_pids = 4, key_memory = 8, key_ids = 16, key_helper = 32 };

// @return what is wrong with it, or NULL
static const char* take_setting(const char* key, const char* value, struct locald_policy* policy, unsigned* seen) {
    unsigned which = 0;
    int good = 0;
    if (locald_same(key, "group")) {
        which = key_group;
        struct locald_text text = {policy->group_name, policy->group_name + sizeof policy->group_name};
        locald_add(&text, value);
        good = text.at > policy->group_name && text.at < text.end - 1 && find_group(value, &policy->group);
        policy->has_group = 1;
    } else if (locald_same(key, "containers")) {
        which = key_containers;
        good = take_amount(value, 0, &policy->containers) && policy->containers <= 1000000;
    } else if (locald_same(key, "pids")) {
        which = key_pids;
        good = take_amount(value, 0, &policy->pids) && policy->pids <= 4194304;  // the kernel's PIDS_MAX
    } else if (locald_same(key, "memory")) {
        which = key_memory;
        good = take_amount(value, 1, &policy->memory);
    } else if (locald_same(key, "ids")) {
        which = key_ids;
        *seen &= ~which;  // may come more than once
        good = take_ids(value, &policy->ids);
    } else if (locald_same(key, "network-helper")) {
        which = key_helper;
        policy->network_helper = locald_same(value, "yes");
        good = policy->network_helper || locald_same(value, "no");
    }
    const int twice = (*seen & which) != 0;
    *seen |= which;
    return which == 0 ? "unknown key: " : twice ? "key given twice: " : good ? NULL : "value not understood: ";
}

// Whoever may write the directory could put the file away, and every limit with it.
static int is_roots_alone(const char* directory) {
    struct statx st;
    const int place = locald_open_directory(AT_FDCWD, directory, RESOLVE_NO_SYMLINKS);
    if (place < 0) return place == -ENOENT;
    const int good = locald_look(place, &st) == 0 && st.stx_uid == 0 && (st.stx_mode & 022) == 0;
    raw_call(SYS_close, place, 0, 0, 0, 0);
    return good || locald_weak("weak-files");
}

static char* without_comment(char* line) {
    char* c = line;
    while (*c != 0 && !(*c == '#' && (c == line || c[-1] == ' ' || c[-1] == '\t'))) ++c;
    *c = 0;
    return trimmed(line);
}

int locald_read_policy(struct locald_policy* policy, char* words, unsigned long size) {
    static struct lines lines;
    const struct said said = {words, size, "/etc/locald/shim.conf"}, place = {words, size, "/etc/locald"};
    policy->has_group = 0;
    policy->ids.count = 0;
    policy->containers = locald_default_containers;
    policy->pids = locald_default_pids;
    policy->memory = ~0ULL;
    if (!is_roots_alone(place.path)) return say(&place, 0, "it must be a directory of root's alone, and no link", "");
    const int how = open_lines(&lines, said.path, RESOLVE_NO_SYMLINKS);
    if (how == absent) return 0;
    if (how != opened) return say_unusable(&said, how);
    unsigned seen = 0;
    int result = 0;
    for (char* line; result == 0 && (line = next_line(&lines)) != NULL;) {
        char* const key = without_comment(line);
        if (*key == 0 && !lines.cut) continue;
        char* value = key;
        while (*value != 0 && *value != '=') ++value;
        const char* wrong = lines.cut ? "the line is too long" : "expected KEY = VALUE";
        const int whole = !lines.cut && *value != 0;
        if (whole) *value++ = 0;
        if (whole) wrong = take_setting(trimmed(key), trimmed(value), policy, &seen);
        if (wrong != NULL) result = say(&said, lines.number, wrong, whole ? key : "");
    }
    if (result == 0 && lines.failed) result = say_unusable(&said, unreadable);
    close_lines(&lines);
    return result;
}

// ---------------------------------------------------------------- the caller's own limits

static uint64_t value_of(int mount, const char* path, const char* file, uint64_t most) {
    char name[4096 + 64];
    struct locald_text text = {name, name + sizeof name};
    locald_add(&text, *path == 0 ? "." : path);
    locald_add(&text, "/");
    locald_add(&text, file);
    const int fd = locald_open(mount, name, O_RDONLY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd < 0) return most;
    char digits[32];
    const long n = raw_call(SYS_read, fd, (long)digits, sizeof digits - 1, 0, 0);
    raw_call(SYS_close, fd, 0, 0, 0, 0);
    digits[n > 0 ? n : 0] = 0;
    const char* rest = digits;
    uint64_t value = most;
    return take_number(&rest, '\n', ~0ULL, &value) && value < most ? value : most;  // `max` is no number
}

// True when the second field of a line of /proc/self/cgroup names the controller.
static int names(const char* list, const char* controller) {
    if (*controller == 0) return *list == 0;
    while (*list != 0) {
        const char* end = controller;
        const char* at = list;
        while (*end != 0 && *at == *end) {
            ++at;
            ++end;
        }
        if (*end == 0 && (*at == 0 || *at == ',')) return 1;
        while (*list != 0 && *list != ',') ++list;
        if (*list == ',') ++list;
    }
    return 0;
}

uint64_t locald_tightest(int mount, const char* controller, const char* file, uint64_t most) {
    static struct lines lines;
    lines.at = lines.have = lines.number = 0;
    lines.cut = lines.failed = 0;
    lines.fd = locald_open(AT_FDCWD, "/proc/self/cgroup", O_RDONLY, 0);
    if (lines.fd < 0) return most;
    for (char* line; (line = next_line(&lines)) != NULL;) {
        const char* const hierarchy = take_field(&line);
        const char* const list = hierarchy != NULL ? take_field(&line) : NULL;
        if (list == NULL || !names(list, controller) || *line != '/' || locald_begins(line, "/..")) continue;
        for (char* path = line + 1; *path != 0;) {
            most = value_of(mount, path, file, most);
            char* last = path;
            for (char* c = path; *c != 0; ++c) {
                if (*c == '/') last = c;
            }
            *last = 0;
        }
    }
    close_lines(&lines);
    return most;
}

#endif
