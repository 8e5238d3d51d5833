#include "shim/start/weakness.h"

#ifdef LOCALD_WEAKNESSES

#include "shim/start/words.h"

static char* chosen;

void locald_choose_weakness(char** argv) {
    for (char* c = argv[0]; c != 0 && *c != 0; ++c) {
        if (*c == '!') chosen = c + 1;
    }
}

int locald_weak(const char* name) { return chosen != 0 && locald_same(chosen, name); }

#endif
