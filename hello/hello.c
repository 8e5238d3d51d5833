// The program of the image locald/hello: says what it sees from inside its container, so that the first command a
// person tries shows that something real happened. Static, so that the image needs nothing else.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char label_format[] = "  %-11s ";

static void say(const char* label, const char* text) {
    printf(label_format, label);
    puts(text);
}

// One line of /proc/self/uid_map: first id inside, first id outside, how many.
static void say_map(const char* label, const char* path) {
    FILE* file = fopen(path, "re");
    if (file == NULL) {
        say(label, "not to be seen: no /proc");
        return;
    }
    char line[128];
    int lines = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        char* rest = line;
        const unsigned long inside = strtoul(rest, &rest, 10);
        const unsigned long outside = strtoul(rest, &rest, 10);
        const unsigned long count = strtoul(rest, &rest, 10);
        printf(label_format, lines++ == 0 ? label : "");
        if (inside == outside && inside == 0 && count == 4294967295UL) {
            puts("every id is itself: the host's user namespace");
        } else if (count == 1) {
            printf("%lu is %lu outside\n", inside, outside);
        } else {
            printf("%lu to %lu are %lu to %lu outside\n", inside, inside + count - 1, outside, outside + count - 1);
        }
    }
    if (lines == 0) say(label, "empty: ids are not mapped");
    fclose(file);
}

static void say_namespaces(void) {
    static const char* const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    const int directory = open("/proc/self/ns", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int shown = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        char link[64];
        const ssize_t length = readlinkat(directory, names[i], link, sizeof link - 1);
        if (length < 0) continue;
        link[length] = '\0';
        const char* number = strchr(link, '[');
        if (shown % 4 == 0) printf(label_format, shown == 0 ? "namespaces" : "");
        const int width = number == NULL ? 0 : (int)strcspn(number + 1, "]");
        printf("%s%-6s %.*s", shown % 4 == 0 ? "" : "   ", names[i], width, number == NULL ? "" : number + 1);
        if (shown % 4 == 3) putchar('\n');
        ++shown;
    }
    if (shown % 4 != 0) putchar('\n');
    if (directory >= 0) close(directory);
    if (shown == 0) say("namespaces", "not to be seen: no /proc");
}

// Every line of a small file, the first beside the label.
static void say_lines(const char* label, const char* path) {
    FILE* file = fopen(path, "re");
    char line[512];
    int lines = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        say(lines++ == 0 ? label : "", line);
    }
    if (file != NULL) fclose(file);
    if (lines == 0) say(label, "none");
}

static void say_mounts(void) {
    FILE* file = fopen("/proc/self/mountinfo", "re");
    int count = 0, at_start = 1;
    for (int c; file != NULL && (c = fgetc(file)) != EOF; at_start = c == '\n') count += at_start;
    if (file != NULL) fclose(file);
    printf(label_format, "mounts");
    printf("%d, the root is %s\n", count, access("/", W_OK) == 0 ? "writable" : "read-only");
}

static void say_groups(void) {
    gid_t groups[64];
    const int count = getgroups(sizeof groups / sizeof groups[0], groups);
    printf(label_format, "user");
    printf("uid %u, gid %u", (unsigned)getuid(), (unsigned)getgid());
    for (int i = 0; i < count; ++i) printf("%s%u", i == 0 ? ", groups " : " ", (unsigned)groups[i]);
    putchar('\n');
}

static void say_what_is_seen(void) {
    struct utsname kernel = {0};
    uname(&kernel);

    puts("Hello from inside a container made by locald!\n");
    puts("This program came out of an image and has a root filesystem, a set of processes and");
    puts("a name of its own. This is what it sees:\n");
    say("hostname", kernel.nodename);
    printf(label_format, "process");
    printf("pid %ld, its parent is %ld\n", (long)getpid(), (long)getppid());
    say_groups();
    say_map("uid map", "/proc/self/uid_map");
    say_map("gid map", "/proc/self/gid_map");
    say_namespaces();
    say_lines("cgroup", "/proc/self/cgroup");
    say_mounts();
    printf(label_format, "kernel");
    printf("%s %s on %s\n", kernel.sysname, kernel.release, kernel.machine);
    puts("\nIt ends now with status 0. To try next:\n");
    puts("  locald container run locald/hello exit 7   # a container's status is the command's own");
    puts("  locald container run -it alpine sh         # a shell in an image from the network");
}

static void say_help(void) {
    puts("usage: hello            say what is seen from inside the container");
    puts("       hello exit N     end with status N (0 to 255)");
    puts("       hello --help     this text");
}

int main(int argc, char** argv) {
    int status = 0;
    if (argc < 2) {
        say_what_is_seen();
    } else if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        say_help();
    } else if (argc == 3 && strcmp(argv[1], "exit") == 0) {
        char* end = NULL;
        errno = 0;
        const long wanted = strtol(argv[2], &end, 10);
        if (errno != 0 || end == argv[2] || *end != '\0' || wanted < 0 || wanted > 255) {
            fprintf(stderr, "hello: exit %s: expected a status from 0 to 255\n", argv[2]);
            return 2;
        }
        status = (int)wanted;
    } else {
        fprintf(stderr, "hello: %s: unknown argument; hello --help lists the known ones\n", argv[1]);
        return 2;
    }
    if (fflush(stdout) != 0) {
        fprintf(stderr, "hello: write to standard output: %s\n", strerror(errno));
        return 1;
    }
    return status;
}
