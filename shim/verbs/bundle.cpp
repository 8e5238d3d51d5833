#include "shim/container/make_container.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

int run_bundle(const Globals& globals, Walker& walker) { return make_container(parse_bundle(globals, walker), true); }

}  // namespace

const Verb bundle_verb{
    "bundle",
    "  bundle run --bundle PATH --id ID   run the bundle in the foreground; exit with the container's status\n"
    "  bundle PATH                        the same, the id is locald-bootstrap-<pid>\n",
    "Usage: locald-shim [OPTION...] bundle run --bundle PATH --id ID [OPTION...]\n"
    "       locald-shim [OPTION...] bundle PATH\n"
    "\n"
    "Runs the OCI bundle (a directory with config.json) in the foreground. Standard input, output and error are the\n"
    "container's. Signals are forwarded. When this process is killed the container dies with it.\n"
    "\n"
    "  -b, --bundle PATH      the bundle directory\n"
    "  -f, --config FILE      another configuration than config.json\n"
    "      --id ID            [A-Za-z0-9][A-Za-z0-9_.+-]{0,127}, not in use below the root\n"
    "      --console-fd N     a connected unix socket that is sent the pty master (needed when process.terminal is "
    "true)\n"
    "      --report-fd N      write events and errors there as JSON lines, instead of errors to standard error; when "
    "its\n"
    "                         reader closes it the container is killed\n"
    "      --pid-file FILE    write the process id of the container's first process there\n"
    "      --preserve-fds N   hand descriptors 3 ... 2+N to the container as well\n"
    "      --no-pivot         use chroot where pivot_root is impossible (root on a ramdisk)\n"
    "      --no-new-keyring   keep the caller's session keyring\n"
    "      --keep-id          the caller's own id is the same inside (for a setuid shim; else the config says it)\n",
    run_bundle, 125};

}  // namespace locald::shim
