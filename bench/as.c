// bench-as UID GID COMMAND…: executes a command with these ids and no other groups.
#define _GNU_SOURCE
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    const gid_t gid = (gid_t)atoi(argv[2]);
    const uid_t uid = (uid_t)atoi(argv[1]);
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) {
        perror("bench-as");
        return 1;
    }
    execv(argv[3], argv + 3);
    perror(argv[3]);
    return 1;
}
