#include "shim/mounts/procfs.hpp"

#include <sys/mount.h>

#include "shim/mounts/mount_api.hpp"

namespace locald::shim {

posix::UniqueFd make_own_procfs() {
    return FsContext("proc", "mount a procfs of our own")
        .mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

}  // namespace locald::shim
