#include "shim/container/make_container.hpp"
#include "shim/container/notify.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

int run_container(const Globals& globals, Walker& walker) {
    Options options = parse_make(globals, walker, false);
    options.notify_host = notify_host();
    return make_container(std::move(options), false);
}

}  // namespace

const Verb run_verb{
    "run", "  run [-d] ID                        create and start a container; in the foreground also remove it\n",
    "Usage: locald-shim [OPTION...] run [OPTION...] ID\n"
    "\n"
    "Creates and starts the container of the bundle; without --detach waits for its end and removes it. Signals are\n"
    "forwarded.\n"
    "\n"
    "  -d, --detach               come back when the program runs\n"
    "      --keep                 leave the state for `delete` when the container has ended\n"
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
    "`run --detach` ends then, and not before.\n",
    run_container};

}  // namespace locald::shim
