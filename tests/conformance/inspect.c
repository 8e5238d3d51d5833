/* Prints what a process in a container sees: one `name<TAB>value` a line, by system calls where there is one, so that
 * it works without /proc. Words of the command line: `sysctl=PATH`, `path=PATH`, `dir=PATH` and `syscalls`. Built
 * static by the tests; it has to run in an empty root filesystem. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

static void say(const char* name, const char* format, ...) {
    va_list rest;
    printf("%s\t", name);
    va_start(rest, format);
    vprintf(format, rest);
    va_end(rest);
    putchar('\n');
}

static void say_sub(const char* family, const char* name, const char* value) {
    printf("%s:%s\t%s\n", family, name, value);
}

static void say_file(const char* name, const char* path) {
    static char text[65536];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0) {
        say(name, "error %s", strerrorname_np(errno));
    } else {
        text[n] = 0;
        for (char* c = text; *c; ++c) {
            if (*c == '\n') *c = ' ';
        }
        say(name, "%s", text);
    }
    if (fd >= 0) close(fd);
}

static void ids(void) {
    uid_t r, e, s;
    gid_t groups[256];
    getresuid(&r, &e, &s);
    say("uid", "%u %u %u", r, e, s);
    getresgid(&r, &e, &s);
    say("gid", "%u %u %u", r, e, s);
    const int count = getgroups(256, groups);
    printf("groups\t");
    for (int i = 0; i < count; ++i) printf("%u ", groups[i]);
    putchar('\n');
    const mode_t mask = umask(0);
    umask(mask);
    say("umask", "%04o", mask);
    say("session", "pid %d leader %d group %d", getpid() == 1 ? 1 : 2, getsid(0) == getpid(), getpgrp() == getpid());
}

static void capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    unsigned long long bounding = 0, ambient = 0;
    syscall(SYS_capget, &header, data);
    for (int i = 0; i < 64; ++i) {
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) bounding |= 1ULL << i;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) ambient |= 1ULL << i;
    }
    say("cap bounding", "%llx", bounding);
    say("cap ambient", "%llx", ambient);
    say("cap effective", "%x%08x", data[1].effective, data[0].effective);
    say("cap permitted", "%x%08x", data[1].permitted, data[0].permitted);
    say("cap inheritable", "%x%08x", data[1].inheritable, data[0].inheritable);
    say("securebits", "%x", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
}

static void limits(void) {
    char name[32];
    for (int i = 0; i < RLIM_NLIMITS; ++i) {
        struct rlimit limit;
        getrlimit(i, &limit);
        snprintf(name, sizeof name, "rlimit:%d", i);
        say(name, "%llu %llu", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
    }
}

static void attributes(void) {
    int number = 0;
    say("no_new_privs", "%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    say("dumpable", "%d", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    say("keepcaps", "%d", prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
    prctl(PR_GET_PDEATHSIG, &number);
    say("pdeathsig", "%d", number);
    prctl(PR_GET_CHILD_SUBREAPER, &number);
    say("subreaper", "%d", number);
    say("timerslack", "%d", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
    say("thp_disable", "%d", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    say("personality", "%lx", (unsigned long)personality(0xffffffff));
    say("nice", "%d", getpriority(PRIO_PROCESS, 0));
    say("ioprio", "%lx", syscall(SYS_ioprio_get, 1, 0));
    struct {
        unsigned size, policy;
        unsigned long long flags;
        int nice;
        unsigned priority;
        unsigned long long runtime, deadline, period;
        unsigned min, max;
    } attr = {0};
    syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0);
    say("scheduler", "policy %u flags %llx nice %d priority %u", attr.policy, attr.flags, attr.nice, attr.priority);
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    say("affinity", "%d", CPU_COUNT(&cpus));
    say_file("oom_score_adj", "/proc/self/oom_score_adj");
    struct utsname name;
    uname(&name);
    say("hostname", "%s", name.nodename);
    say("domainname", "%s", name.domainname);
    say("machine", "%s", name.machine);
    static char text[4096];
    say("cwd", "%s", getcwd(text, sizeof text) ? text : strerrorname_np(errno));
    struct winsize size = {0};
    struct termios modes = {0};
    say("tty", "%d", isatty(0));
    if (isatty(0)) {
        ioctl(0, TIOCGWINSZ, &size);
        tcgetattr(0, &modes);
        say("tty size", "%d %d", size.ws_row, size.ws_col);
        say("tty modes", "%x %x %x %x", modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag);
        say("tty name", "%s", ttyname(0) ? ttyname(0) : strerrorname_np(errno));
        say("tty controlling", "%d", tcgetsid(0) == getsid(0));
    }
    struct stat st;
    struct statfs fs;
    stat("/", &st);
    say("root mode", "%o %d:%d", st.st_mode, st.st_uid, st.st_gid);
    statfs("/", &fs);
    say("root flags", "%lx", (unsigned long)fs.f_flags);
    const long ring = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0);
    memset(text, 0, sizeof text);
    if (ring > 0) syscall(SYS_keyctl, KEYCTL_DESCRIBE, ring, text, sizeof text, 0);
    say("keyring", "%s", ring > 0 ? text : strerrorname_np(errno));
}

static void signals(void) {
    unsigned long long blocked = 0, ignored = 0, handled = 0;
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int i = 1; i <= 64; ++i) {
        struct sigaction action;
        if (sigismember(&mask, i) == 1) blocked |= 1ULL << (i - 1);
        if (sigaction(i, NULL, &action) != 0) continue;
        if (action.sa_handler == SIG_IGN) ignored |= 1ULL << (i - 1);
        if (action.sa_handler != SIG_IGN && action.sa_handler != SIG_DFL) handled |= 1ULL << (i - 1);
    }
    say("signals", "blocked %llx ignored %llx handled %llx", blocked, ignored, handled);
}

static void descriptors(void) {
    char name[32], value[64];
    for (int fd = 0; fd < 1024; ++fd) {
        const int flags = fcntl(fd, F_GETFD);
        struct stat st;
        if (flags < 0) continue;
        fstat(fd, &st);
        snprintf(name, sizeof name, "%d", fd);
        snprintf(value, sizeof value, "type %o flags %x status %x", st.st_mode & S_IFMT, flags, fcntl(fd, F_GETFL));
        say_sub("fd", name, value);
    }
}

static void namespaces(void) {
    static const char* names[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    for (int i = 0; i < 8; ++i) {
        char path[64], text[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        const ssize_t n = readlink(path, text, sizeof text - 1);
        text[n < 0 ? 0 : n] = 0;
        say_sub("namespace", names[i], text);
    }
    say_file("uid_map", "/proc/self/uid_map");
    say_file("gid_map", "/proc/self/gid_map");
    say_file("setgroups", "/proc/self/setgroups");
    say_file("timens_offsets", "/proc/self/timens_offsets");
    say_file("cgroup", "/proc/self/cgroup");
}

static void entry(const char* family, const char* path) {
    struct stat st;
    char value[512], target[256] = "";
    if (lstat(path, &st) != 0) {
        say_sub(family, path, strerrorname_np(errno));
        return;
    }
    if (S_ISLNK(st.st_mode)) {
        const ssize_t n = readlink(path, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = 0;
        st.st_mode = S_IFLNK;
    }
    const int device = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
    snprintf(value, sizeof value, "%o %u:%u %u,%u %s", st.st_mode, st.st_uid, st.st_gid, device ? major(st.st_rdev) : 0,
             device ? minor(st.st_rdev) : 0, target);
    say_sub(family, path, value);
}

static void directory(const char* path, int depth) {
    DIR* dir = opendir(path);
    struct dirent* found;
    if (!dir) return;
    while ((found = readdir(dir))) {
        char name[1024];
        if (!strcmp(found->d_name, ".") || !strcmp(found->d_name, "..")) continue;
        snprintf(name, sizeof name, "%s/%s", path, found->d_name);
        entry("file", name);
        struct stat st;
        if (depth > 0 && lstat(name, &st) == 0 && S_ISDIR(st.st_mode)) directory(name, depth - 1);
    }
    closedir(dir);
}

static const char* opened(const char* path, int flags) {
    const int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0) return strerrorname_np(errno);
    close(fd);
    return "ok";
}

/* What masked and read-only paths and mounts let one do. */
static void behaviour(const char* path) {
    char value[512], inside[1024];
    struct stat st;
    if (lstat(path, &st) != 0) {
        say_sub("path", path, strerrorname_np(errno));
        return;
    }
    entry("file", path);
    if (S_ISDIR(st.st_mode)) {
        int count = 0;
        DIR* dir = opendir(path);
        for (struct dirent* found; dir && (found = readdir(dir));) ++count;
        if (dir) closedir(dir);
        snprintf(inside, sizeof inside, "%s/.made-by-inspect", path);
        const char* made = opened(inside, O_WRONLY | O_CREAT | O_EXCL);
        unlink(inside);
        snprintf(value, sizeof value, "entries %s create %s", count > 2 ? "some" : "none", made);
    } else {
        char byte;
        const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        const ssize_t n = fd < 0 ? -2 : read(fd, &byte, 1);
        if (fd >= 0) close(fd);
        snprintf(value, sizeof value, "read %zd write %s", n, opened(path, O_WRONLY));
    }
    say_sub("path", path, value);
}

static void calls(void) {
    static char buffer[4096];
    static const struct {
        const char* name;
        long number;
    } all[] = {{"getppid", SYS_getppid},
               {"times", SYS_times},
               {"sysinfo", SYS_sysinfo},
               {"sched_yield", SYS_sched_yield},
               {"getcpu", SYS_getcpu},
               {"gettid", SYS_gettid},
               {"getpgid", SYS_getpgid},
               {"alarm", SYS_alarm},
               {"sched_get_priority_max", SYS_sched_get_priority_max},
               {"uname", SYS_uname},
               {"time", SYS_time},
               {"getrandom", SYS_getrandom},
               {"beyond", 1000},
               {"keyctl", SYS_keyctl},
               {"unshare", SYS_unshare}};
    for (unsigned i = 0; i < sizeof all / sizeof *all; ++i) {
        errno = 0;
        const long got = all[i].number == SYS_sysinfo || all[i].number == SYS_uname || all[i].number == SYS_times
                             ? syscall(all[i].number, buffer, 0, 0, 0, 0)
                             : syscall(all[i].number, 0, 0, 0, 0, 0);
        say_sub("call", all[i].name,
                got < 0 ? (errno < 134 && strerrorname_np(errno) ? strerrorname_np(errno) : "errno") : "ok");
    }
}

int main(int count, char** words, char** variables) {
    static char buffer[1 << 16];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    descriptors();
    signals();
    ids();
    capabilities();
    limits();
    attributes();
    namespaces();
    for (int i = 0; variables[i]; ++i) say("environment", "%s", variables[i]);
    FILE* mounts = fopen("/proc/self/mountinfo", "re");
    static char line[8192];
    while (mounts && fgets(line, sizeof line, mounts)) {
        line[strcspn(line, "\n")] = 0;
        say("mount", "%s", line);
    }
    directory("/dev", 1);
    for (int i = 1; i < count; ++i) {
        char* value = strchr(words[i], '=');
        if (value) ++value;
        if (!strncmp(words[i], "sysctl=", 7)) {
            char name[512];
            snprintf(name, sizeof name, "sysctl:%s", value);
            say_file(name, value);
        } else if (!strncmp(words[i], "path=", 5)) {
            behaviour(value);
        } else if (!strncmp(words[i], "dir=", 4)) {
            directory(value, 2);
        } else if (!strcmp(words[i], "syscalls")) {
            calls();
        }
    }
    say("end", "reached");
    return fflush(stdout) == 0 ? 0 : 1;
}
