#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/// One file system to be made and left unattached: what fsconfig(2) is told, and what came of it.
struct mount_request {
    const char* type;
    const char* source;  ///< null: none
    const char* target;  ///< the file system gets the mode of what is there below `root`; null: it has one of its own
    const struct mount_option* options;
    unsigned option_count;
    unsigned attributes;  ///< MOUNT_ATTR_
    int mount;            ///< the detached mount; negative: -errno
    int mode;             ///< the one that was taken over; -1: there was nothing
    int state;            ///< mount_request_state; a futex(2)
};

enum mount_request_state { mount_is_free = 0, mount_is_begun = 1, mount_is_made = 2, mount_is_awaited = 3 };

struct mount_option {
    const char* key;
    const char* value;  ///< null: a flag
};

/// What two threads share that make one row of requests. The first thread goes through it from the front, attaching
/// each; the second takes what is left of each window from its end, so that the two meet once a window, and nobody
/// waits for anybody elsewhere.
struct mount_row {
    struct mount_request* requests;
    unsigned count;
    int root;         ///< O_PATH descriptor that targets are looked for below
    unsigned window;  ///< where the first thread is; a futex(2)
    int stop;
    int tid;  ///< 0 once the thread has ended; a futex(2)
};

/// Starts the second thread. 0 when there is none: then the first makes all of them.
int start_mount_thread(struct mount_row* row);
/// Ends it, wherever it is.
void end_mount_thread(struct mount_row* row);
/// Takes request `index`, the next in the row, for the caller: 1 when it is his to make, 0 when the other thread has
/// made it, which is waited for.
int claim_mount(struct mount_row* row, unsigned index);

#ifdef __cplusplus
}
#endif
