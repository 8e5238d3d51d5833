#include "shim/container/make_container.hpp"
#include "shim/container/notify.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

int create_container(const Globals& globals, Walker& walker) {
    Options options = parse_make(globals, walker, true);
    options.notify_host = notify_host();
    return make_container(std::move(options), false);
}

}  // namespace

const Verb create_verb{
    "create", "  create ID                          make a container up to its program, which `start` then runs\n",
    "Usage: locald-shim [OPTION...] create [OPTION...] ID\n"
    "\n"
    "Makes the container of the bundle. Standard input, output and error are the container's.\n"
    "\n"
    "  -b, --bundle PATH          the bundle directory (default: the current one)\n"
    "  -f, --config FILE          another configuration than config.json\n"
    "      --console-socket PATH  a listening unix socket that is sent the pty master\n"
    "      --pid-file FILE        write the process id of the container's first process there\n"
    "      --pidfd-socket PATH    a listening unix socket that is sent the first process's pidfd\n"
    "      --preserve-fds N       hand descriptors 3 ... 2+N to the container as well; those of LISTEN_FDS\n"
    "                             come before them\n"
    "      --no-pivot             use chroot where pivot_root is impossible (root on a ramdisk)\n"
    "      --no-new-keyring       keep the caller's session keyring\n"
    "      --keep-id              the caller's own id is the same inside (for a setuid shim; else the config says it)\n"
    "      --no-subreaper         accepted; this runtime never becomes one\n"
    "\n"
    "Where NOTIFY_SOCKET is set the container gets one too. Its READY=1 goes to the caller's socket with the MAINPID;\n"
    "`start` with NOTIFY_SOCKET set ends then, and not before.\n",
    create_container};

}  // namespace locald::shim
