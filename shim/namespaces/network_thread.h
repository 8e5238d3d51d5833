#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/// What the thread below and the one that started it share.
struct network_thread {
    int state;  ///< network_thread_state; a futex(2)
    int fd;     ///< of the namespace once it is there
    int error;  ///< errno of what failed
    int tid;    ///< 0 once the thread has ended; a futex(2)
};

enum network_thread_state { network_thread_works = 0, network_thread_has_namespace = 1, network_thread_failed = 2 };

/// Starts a thread that makes a network namespace, says so, and brings `lo` up in it. 0 when there is no such thread.
int start_network_thread(struct network_thread* shared);
/// Waits until the namespace is there, or is known not to come.
void await_network_namespace(struct network_thread* shared);
/// Waits until the thread has ended.
void await_network_thread(struct network_thread* shared);

#ifdef __cplusplus
}
#endif
