// What of glibc's <spawn.h> musl lacks, for programs that are compiled against musl.
#include <dirent.h>
#include <spawn.h>

#include <cerrno>
#include <cstdlib>

extern "C" {

// Every descriptor that is open now. One that another thread opens before the child starts is closed on exec, as all of
// ours are.
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t* actions, int first) {
    DIR* open_ones = ::opendir("/proc/self/fd");
    if (open_ones == nullptr) return errno;
    int result = 0;
    while (const dirent* entry = ::readdir(open_ones)) {
        if (entry->d_name[0] == '.') continue;
        const int number = std::atoi(entry->d_name);
        if (number < first || number == ::dirfd(open_ones)) continue;
        result = ::posix_spawn_file_actions_addclose(actions, number);
        if (result != 0) break;
    }
    ::closedir(open_ones);
    return result;
}
}
