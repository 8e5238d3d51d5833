// Tries what a namespace's root could try, one line an attempt: its name, and the kernel's answer. The same program
// runs in `unshare -Ur` and in a container of the setuid shim; what differs is what the shim gives beyond such a
// namespace.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char* place;

static void tell(const char* name, const char* what, long result) {
    printf("%s %s %s\n", name, what, result < 0 ? strerrorname_np(errno) : "done");
    fflush(stdout);
}

static void try_mounts(void) {
    static const char* const types[] = {
        "proc",     "sysfs",   "tmpfs",      "ramfs",    "devpts",    "mqueue",      "cgroup",
        "cgroup2",  "ext4",    "xfs",        "squashfs", "fuse",      "binfmt_misc", "bpf",
        "debugfs",  "tracefs", "securityfs", "configfs", "hugetlbfs", "devtmpfs",    "pstore",
        "efivarfs", "autofs",  "nfs",        "overlay",  "erofs",     "9p",          "no-such-file-system"};
    for (size_t i = 0; i < sizeof types / sizeof *types; ++i) {
        const char* data = strcmp(types[i], "overlay") == 0 ? "lowerdir=/etc:/usr" : NULL;
        const char* source = strcmp(types[i], "ext4") == 0 || strcmp(types[i], "xfs") == 0 ? "/dev/vda" : "none";
        const int result = mount(source, place, types[i], 0, data);
        tell("mount", types[i], result);
        if (result == 0) umount2(place, MNT_DETACH);
    }
    tell("mount", "bind /etc", mount("/etc", place, NULL, MS_BIND, NULL));
    tell("mount", "write /etc through it", open("/etc/locald-was-here", O_CREAT | O_WRONLY, 0600));
    umount2(place, MNT_DETACH);
    tell("mount", "move /proc", mount("/proc", place, NULL, MS_MOVE, NULL));
    tell("mount", "move it back", mount(place, "/proc", NULL, MS_MOVE, NULL));
}

static void try_files(void) {
    static const char* const paths[] = {
        "/dev/mem",    "/dev/kmsg",      "/dev/vda",          "/dev/null", "/etc/shadow",  "/root",   "/proc/kcore",
        "/proc/1/mem", "/proc/kallsyms", "/sys/kernel/debug", "/dev/fuse", "/dev/net/tun", "/dev/kvm"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; ++i) {
        tell("open to read", paths[i], open(paths[i], O_RDONLY));
        tell("open to write", paths[i], open(paths[i], O_WRONLY));
    }
    char name[256];
    snprintf(name, sizeof name, "%s/node", place);
    tell("mknod", "c 1 1", mknod(name, S_IFCHR | 0600, makedev(1, 1)));
    tell("mknod", "b 254 0", mknod(name, S_IFBLK | 0600, makedev(254, 0)));
    tell("mknod", "c 0 0", mknod(name, S_IFCHR | 0600, makedev(0, 0)));
    static const char* const values[] = {"kernel/core_pattern",      "kernel/modprobe", "vm/overcommit_memory",
                                         "user/max_user_namespaces", "kernel/printk",   "fs/suid_dumpable",
                                         "net/ipv4/ip_forward",      "kernel/hostname"};
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
        snprintf(name, sizeof name, "/proc/sys/%s", values[i]);
        tell("sysctl", values[i], open(name, O_WRONLY));
    }
    struct file_handle* handle = calloc(1, sizeof *handle + 128);
    handle->handle_bytes = 128;
    int mount_id = 0;
    tell("name_to_handle_at", "/etc", name_to_handle_at(AT_FDCWD, "/etc", handle, &mount_id, 0));
    tell("open_by_handle_at", "/etc", open_by_handle_at(open("/", O_RDONLY), handle, O_RDONLY));
}

static void try_ids(void) {
    static const unsigned ids[] = {1, 1000, 65534, 65535, 65536, 70000, 4294967294U};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; ++i) {
        char word[24];
        snprintf(word, sizeof word, "%u", ids[i]);
        if (fork() == 0) {
            tell("id: setuid", word, setresuid(ids[i], ids[i], ids[i]));
            _exit(0);
        }
        wait(NULL);
        if (fork() == 0) {
            tell("id: setgid", word, setresgid(ids[i], ids[i], ids[i]));
            _exit(0);
        }
        wait(NULL);
        char name[256];
        snprintf(name, sizeof name, "%s/owned", place);
        close(open(name, O_CREAT | O_WRONLY, 0600));
        tell("id: chown", word, chown(name, ids[i], ids[i]));
        unlink(name);
    }
    const gid_t none[] = {0};
    tell("id: setgroups", "0", setgroups(1, none));
}

static void try_calls(void) {
    tell("socket", "packet", socket(AF_PACKET, SOCK_RAW, 0));
    tell("socket", "raw", socket(AF_INET, SOCK_RAW, 1));
    tell("socket", "netlink audit", socket(AF_NETLINK, SOCK_RAW, 9));
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    tell("bpf", "program", syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr));
    tell("bpf", "map", syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr));
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event};
    tell("perf_event_open", "everything", syscall(SYS_perf_event_open, &event, -1, 0, -1, 0));
    tell("init_module", "nothing", syscall(SYS_init_module, "", 0, ""));
    tell("kexec_load", "nothing", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    tell("swapon", "/dev/vda", swapon("/dev/vda", 0));
    tell("reboot", "off", syscall(SYS_reboot, 1, 2, 0, NULL));
    struct timeval now;
    gettimeofday(&now, NULL);
    tell("settimeofday", "now", settimeofday(&now, NULL));
    tell("sethostname", "x", sethostname("x", 1));
    tell("acct", "off", acct(NULL));
    tell("iopl", "3", syscall(SYS_iopl, 3));
    tell("syslog", "read", syscall(SYS_syslog, 3, place, 0));
    tell("quotactl", "sync", syscall(SYS_quotactl, 0x800001, NULL, 0, NULL));
    tell("keyctl", "session", syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
    tell("userfaultfd", "kernel", syscall(SYS_userfaultfd, 0));
    tell("unshare", "user", unshare(CLONE_NEWUSER));
    tell("setpriority", "-5", setpriority(PRIO_PROCESS, 0, -5));
    const struct sched_param most = {.sched_priority = 50};
    tell("sched_setscheduler", "fifo", sched_setscheduler(0, SCHED_FIFO, &most));
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_max += 1;
    tell("setrlimit", "above the hard one", setrlimit(RLIMIT_NOFILE, &limit));
    const int score = open("/proc/self/oom_score_adj", O_WRONLY);
    tell("oom_score_adj", "-500", write(score, "-500", 4));
    tell("kill", "1 of another namespace", kill(2, 0));
    tell("chroot", "/", chroot("/"));
    tell("pivot_root", ".", syscall(SYS_pivot_root, ".", "."));
}

int main(int argc, char** argv) {
    place = argc > 1 ? argv[1] : "/tmp";
    try_mounts();
    try_files();
    try_ids();
    try_calls();
    return 0;
}
