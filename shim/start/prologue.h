#pragma once

/// Before the C library: where the setuid bit made this process root, does what only root can do for its caller, and
/// gives root up for good. Returns with the caller's rights and none else; what was made or refused is in
/// locald_rights. Started with the caller's own rights it does nothing.
/// @param envp  emptied while root is held, and as it was afterwards
void locald_prologue(char** argv, char** envp);
