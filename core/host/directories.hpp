#pragma once

#include <string>

namespace locald::host {

/// `$XDG_DATA_HOME/locald`, else `~/.local/share/locald` (home from the user database when HOME is not set). Not
/// created.
std::string data_directory();

/// `$XDG_CONFIG_HOME/locald`, else `~/.config/locald`. Not created.
std::string config_directory();

/// Where the state of running containers lives: root: `/run/locald/0`; else `$XDG_RUNTIME_DIR/locald`, else
/// `/tmp/locald-<uid>`.
std::string runtime_directory();

/// Creates `path` with mode 0700 (parents 0755) or checks what is there. @throws Error(denied) that names owner, mode
/// or type when they differ: a directory that somebody else prepared is never used
void ensure_private_directory(const std::string& path);

/// The absolute path of this program's own file.
std::string own_executable();

}  // namespace locald::host
