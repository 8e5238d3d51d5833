#include <array>
#include <limits>

#include "cli/commands/commands.hpp"

namespace locald::cli {

namespace {

constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();

constexpr std::string_view image_forms =
    "IMAGE is a name in a registry (alpine, ghcr.io/org/app:1.2, name@sha256:…), oci:DIR[:TAG], "
    "oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], or locald/hello, which is built in and needs no network.";

constexpr std::string_view container_forms = "CONTAINER is a name, an id, or the beginning of just one id.";

constexpr std::string_view exec_help =
    "CONTAINER is a name, an id, or the beginning of just one id. Options end at it. User, environment and directory "
    "are "
    "the container's own where no option says otherwise. Signals are handed on to the program.\n"
    "\n"
    "Exit status: that of the program, or 128 + the signal that ended it; 125 when locald failed, 126 when the program "
    "cannot be executed, 127 when it does not exist.";

constexpr std::string_view attach_help =
    "CONTAINER is a name, an id, or the beginning of just one id. Shows what it says from now on; stdin is handed on "
    "to "
    "one that was started with -i, and stays open when this ends. The detach keys (with a terminal), or a signal that "
    "is not handed on, leave the container alone.\n"
    "\n"
    "Exit status: the container's; 0 after the detach keys.";

constexpr std::string_view logs_help =
    "CONTAINER is a name, an id, or the beginning of just one id. Its stdout goes to stdout, its stderr to stderr.\n"
    "\n"
    "The last 12 to 16 MiB of the output are kept. How many bytes are missing, there or because the disk was full, is "
    "said on stderr.";

constexpr std::string_view run_help =
    "IMAGE is a name in a registry (alpine, ghcr.io/org/app:1.2, name@sha256:…), oci:DIR[:TAG], "
    "oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], or locald/hello, which is built in and needs no network. "
    "Options end at IMAGE: what follows belongs to the program in the container.\n"
    "\n"
    "The container shares the host's network; ports it opens are host ports. In the foreground signals are handed on "
    "to it, and it is removed when it ends. With -d it goes on in the background, and its record and log stay until "
    "`locald container rm`, unless --rm is given.\n"
    "\n"
    "Exit status: that of the program, or 128 + the signal that ended it; 125 when locald failed, 126 when the program "
    "cannot be executed, 127 when it does not exist.";

constexpr std::string_view run_examples =
    "locald container run locald/hello                         the built-in image: no network needed\n"
    "locald container run -it alpine sh                        a shell\n"
    "locald container run -v ./app:/app -w /app node npm test  your directory inside\n"
    "locald container run -e PORT=8080 -m 512m my/app          the app answers on localhost:8080\n"
    "locald container run -i alpine sort < names.txt           stdin and stdout as in any pipe\n"
    "locald container run --rootfs ./rootfs /bin/sh -c id      a directory instead of an image";

constexpr std::string_view setup_help =
    "For root. Installs the locald-shim that lies beside this locald, with root's setuid bit, so that every user has "
    "his "
    "ranges of ids and cgroups with limits for his containers; prepares the cgroups and /run/locald, and says what it "
    "did and how to undo it. A second run finds all as it should be and changes nothing.\n"
    "\n"
    "With --group only members of the group may run it (mode 4750, and it stays so until `locald admin remove`). Where "
    "the host lets no ordinary user make user namespaces, the shim gives them back to whoever may run it: then "
    "--group is needed.\n"
    "\n"
    "The directory of the installed shim and all above it must be root's, without links, and not writable by others.";

constexpr std::array commands{
    Command{"container run", "Run a container, in the foreground or with -d in the background",
            "IMAGE [COMMAND [ARG...]]", 1, any_number, true, run_help, run_examples, make_container_run},
    Command{"container ls", "List containers", "", 0, 0, false,
            "Shows those that run; with -a also those that have ended and were not removed. A lost one died with the "
            "process that kept it, so nobody knows its exit status.",
            "locald container ls -a\nlocald container rm $(locald container ls -aq)", make_container_ls},
    Command{"container exec", "Run one more program in a container", "CONTAINER COMMAND [ARG...]", 2, any_number, true,
            exec_help, "locald container exec -it web sh\nlocald container exec -u root -w /etc web cat shadow",
            make_container_exec},
    Command{"container attach", "Take part in a container in the background", "CONTAINER", 1, 1, false, attach_help,
            "locald container attach web", make_container_attach},
    Command{"container logs", "Show what a container in the background has said", "CONTAINER", 1, 1, false, logs_help,
            "locald container logs -f web\nlocald container logs -t --since 10m --tail 100 web", make_container_logs},
    Command{"container wait", "Wait until containers end and print their exit codes", "CONTAINER...", 1, any_number,
            false, container_forms, "", make_container_wait},
    Command{"container stop", "Ask containers to end, and kill those that do not", "CONTAINER...", 1, any_number, false,
            container_forms, "", make_container_stop},
    Command{"container kill", "Send a signal to containers", "CONTAINER...", 1, any_number, false, container_forms,
            "locald container kill -s HUP web", make_container_kill},
    Command{"container rm", "Remove containers that have ended", "CONTAINER...", 1, any_number, false, container_forms,
            "", make_container_rm},
    Command{"image pull", "Fetch an image from a registry, a layout or an archive", "IMAGE", 1, 1, false, image_forms,
            "locald image pull debian:12\nlocald image pull --platform linux/arm64 alpine", make_image_pull},
    Command{"image ls", "List the images that are here", "", 0, 0, false, "", "", make_image_ls},
    Command{"image inspect", "Show manifest and config of an image as JSON", "IMAGE|ID", 1, 1, false, "",
            "locald image inspect alpine", make_image_inspect},
    Command{"image rm", "Remove images by name or id", "IMAGE|ID...", 1, any_number, false,
            "An id stands for all names of its image. What no other image needs is removed with them.", "",
            make_image_rm},
    Command{"image import", "Take an image from an OCI layout or an archive", "SOURCE [NAME]", 1, 2, false,
            "SOURCE is an OCI layout, as a directory or a tar, or the file that `docker save` wrote, or one of "
            "oci:DIR[:TAG], "
            "oci-archive:FILE[:TAG], docker-archive:FILE[:NAME]. NAME is what the image is called here; by default as "
            "the archive says.",
            "docker save -o app.tar app && locald image import app.tar\nlocald image import oci:./layout my/app:1",
            make_image_import},
    Command{"image export", "Write an image to an archive or an OCI layout", "IMAGE|ID PATH", 2, 2, false,
            "PATH is a tar file to write, a directory when it ends in a slash, or - for stdout; either holds an OCI "
            "layout.",
            "locald image export alpine alpine.tar\nlocald image export alpine layout/", make_image_export},
    Command{"image copy", "Copy an image of this host to the one that --host names", "IMAGE|ID [NAME]", 1, 2, false,
            "What is there already is not sent again. NAME is what the image is called there; by default as here. "
            "Archives and layouts of this host go to another one by `locald --host URL image import`.",
            "locald --host ssh://me@build.example image copy my/app:1", make_image_copy},
    Command{"bundle prepare", "Make an OCI bundle that runc, crun and locald-shim run", "IMAGE DIR [COMMAND [ARG...]]",
            2, any_number, true,
            "DIR must be empty or not exist. The options are those of `locald container run` and end at IMAGE.",
            "locald bundle prepare alpine ./bundle && sudo crun run -b ./bundle demo", make_bundle_prepare},
    Command{"bundle inspect", "Check a bundle and show it as JSON", "DIR", 1, 1, false, "", "", make_bundle_inspect},
    Command{"host add", "Give another host a name", "NAME URL", 2, 2, false,
            "URL is ssh://USER@HOST[:PORT], where HOST may be one of ~/.ssh/config. Nothing is connected, unless --pin "
            "says so. The names are kept in $XDG_CONFIG_HOME/locald/hosts.json.\n"
            "\n"
            "Without --host-key, --pin and --known-hosts the server's key must be one of ~/.ssh/known_hosts.",
            "locald host add build ssh://me@build.example --use\n"
            "locald host add vm ssh://me@127.0.0.1:2222 --identity ./key --host-key SHA256:...",
            make_host_add},
    Command{"host use", "Run the commands that name no host on this one", "NAME|local", 1, 1, false,
            "--host and $LOCALD_HOST come before it. `local` is the way back to this host.",
            "locald host use build\nlocald host use local", make_host_use},
    Command{"host show", "Show what is kept of a host as JSON", "NAME", 1, 1, false, "", "", make_host_show},
    Command{"host rm", "Take the names of hosts away", "NAME...", 1, any_number, false,
            "The one in use is not taken away. What runs on a host goes on.", "", make_host_rm},
    Command{"host ls", "List the hosts that have names, and the connections that are kept", "", 0, 0, false,
            "A star marks the host that commands go to which name none.\n"
            "\n"
            "The first command to a host starts a process that keeps the connection, so that the next one needs no key "
            "exchange. It ends when nobody used it for five minutes. With LOCALD_HOLDER=no nothing is kept.",
            "", make_host_ls},
    Command{"host disconnect", "End the connection to a host, or all", "[HOST]", 0, 1, false,
            "What runs there in the foreground of a command is stopped.",
            "locald host disconnect build\nlocald host disconnect ssh://me@build.example", make_host_disconnect},
    Command{"admin setup", "Install the shim for all users of this host (root)", "", 0, 0, false, setup_help,
            "sudo locald admin setup\nsudo locald admin setup --group containers\nsudo locald admin setup --dry-run",
            make_admin_setup},
    Command{"admin status", "Show what setup has done on this host", "", 0, 0, false,
            "Changes nothing. Exit status 1 when something is not as `locald admin setup` leaves it.", "",
            make_admin_status},
    Command{"admin remove", "Take away what setup has done (root)", "", 0, 0, false,
            "The installed shim loses its setuid bit before its name, so that a hard link of it is a program without "
            "rights. What containers still use stays, and is named. Lines in /etc/subuid and /etc/subgid stay: files "
            "may have their ids.",
            "", make_admin_remove},
    Command{
        "doctor", "Look at everything a container needs and say what is missing", "", 0, 0, false,
        "Looks at the kernel, user namespaces, AppArmor and SELinux, ids, cgroups, the shim (which file, with which "
        "rights and why), the image store and the network, and says what to type. Changes nothing.\n"
        "\n"
        "Exit status by the worst finding: 0 when all is well, also with notes and warnings, which take something "
        "away; 1 when something critical is wrong and containers cannot run.",
        "", make_doctor},
    Command{"version", "Show the version", "", 0, 0, false, "", "", make_version},
};

}  // namespace

std::span<const Command> all_commands() { return commands; }

}  // namespace locald::cli
