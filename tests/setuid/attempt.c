// One attempt of somebody in a container, chosen by argv[1]; what came of it is told in one line. It runs as well
// beside the shim, where most of it comes true: an attempt that can never succeed would prove nothing.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int say(const char* what, const char* value) {
    printf("%s: %s\n", what, value);
    return 0;
}

// A key of that name in the session keyring that was inherited.
static int find_key(const char* name) {
    char text[64] = "";
    const long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name, 0);
    if (key > 0) syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text - 1, 0);
    return say("key", key > 0 ? text : strerrorname_np(errno));
}

static int type_into(int fd) {
    const int result = ioctl(fd, TIOCSTI, "x");
    return say("typed", result == 0 ? "yes" : strerrorname_np(errno));
}

// handle: type and bytes in hex, as `handle of` says it.
static int open_handle(const char* mount, const char* type, const char* hex) {
    struct file_handle* handle = calloc(1, sizeof *handle + 128);
    handle->handle_type = atoi(type);
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte;
        sscanf(hex, "%2x", &byte);
        handle->f_handle[handle->handle_bytes++] = (unsigned char)byte;
    }
    const int at = open(mount, O_RDONLY | O_DIRECTORY);
    const int fd = open_by_handle_at(at, handle, O_RDONLY);
    if (fd < 0) return say("opened", strerrorname_np(errno));
    char text[16] = "";
    const ssize_t n = read(fd, text, sizeof text - 1);
    return say("opened", n < 0 ? strerrorname_np(errno) : text);
}

static int tell_handle(const char* path) {
    struct file_handle* handle = calloc(1, sizeof *handle + 128);
    handle->handle_bytes = 128;
    int mount_id = 0;
    if (name_to_handle_at(AT_FDCWD, path, handle, &mount_id, 0) != 0) return say("none", strerrorname_np(errno));
    printf("%d ", handle->handle_type);
    for (unsigned i = 0; i < handle->handle_bytes; ++i) printf("%02x", handle->f_handle[i]);
    printf("\n");
    return 0;
}

static void outlive(void) {
    int signal_now = -1;
    prctl(PR_GET_PDEATHSIG, &signal_now);
    prctl(PR_SET_PDEATHSIG, 0);
    printf("parent %d, signal %d\n", getppid(), signal_now);
    fflush(stdout);
    for (;;) pause();
}

int main(int argc, char** argv) {
    const char* const what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "key") == 0 && argc > 2) return find_key(argv[2]);
    if (strcmp(what, "type") == 0) return type_into(0);
    if (strcmp(what, "handle") == 0 && argc > 4) return open_handle(argv[2], argv[3], argv[4]);
    if (strcmp(what, "handle-of") == 0 && argc > 2) return tell_handle(argv[2]);
    if (strcmp(what, "outlive") == 0) outlive();
    return 2;
}
