#pragma once

// Each attack must be shown to bite: locald-shim-weak, which is built for tests alone and never installed, is the same
// program with one defence left out, named after a `!` in its argv[0]. In the shim itself every such question is the
// number 0, and neither the names nor the code are in it.

#ifdef LOCALD_WEAKNESSES
#ifdef __cplusplus
extern "C" {
#endif
int locald_weak(const char* name);
void locald_choose_weakness(char** argv);
#ifdef __cplusplus
}
#endif
#else
#define locald_weak(name) 0
#define locald_choose_weakness(argv) ((void)0)
#endif
