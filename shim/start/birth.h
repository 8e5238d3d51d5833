#pragma once

#include "shim/start/rights.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What the foothold does all its life: waits until it is asked, makes the one process, and ends. Its caller has given
/// up every right that is not the caller's.
void locald_stand_by(struct locald_foothold* foothold);

/// Asks for the process and waits for it. @return its pid, or -errno; -ESRCH when the foothold is gone
long locald_ask_foothold(struct locald_foothold* foothold);

/// Ends a foothold that was not asked; nothing where there is none.
void locald_dismiss_foothold(struct locald_foothold* foothold);

#ifdef __cplusplus
}
#endif
