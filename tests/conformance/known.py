"""Where our shim is meant to differ from a peer: field, peer, reason. A difference that no line names fails."""

BOTH = ("crun", "runc")

KNOWN = [
    (r"pdeathsig", BOTH, "a container in the foreground ends with its runtime, however that ends"),
    (r"cgroup", BOTH, "on version 1 only hierarchies that a limit was asked of are joined: a first migration costs 5 to 8 ms"),
    (r"limit:(?!hugetlb).*", BOTH, "no directory in a version 1 hierarchy that nothing was asked of"),
    (r"limit:hugetlb\..*\.rsvd\.max", ("crun",), "crun limits what is used and not what is reserved"),
    (r"mount:/sys/fs/cgroup(/.*)?", BOTH,
     "read-only in a user namespace without a cgroup namespace (CVE-2023-25809), and on version 1 where no cgroup was joined; version 2 is shown there too. A bind of the host's has the host's options; crun adds nosymfollow"),
    (r"(file|left):/?dev/core", ("crun",), "a link to /proc/kcore only where that exists, as with runc"),
    (r"keyring", ("runc",), "runc names the keyring `_ses.ID` and lets its possessor do more"),
    (r"keyring", ("crun",), "crun makes the keyring before it has entered the user namespace, so nobody inside owns it"),
    (r"fd:[012]", ("runc",), "`runc run` puts pipes between; a container's descriptors are those of `create` and `run`"),
    (r"cap (bounding|effective|permitted|inheritable|ambient)", ("runc",), "without `process.capabilities` runc keeps all, crun and we none"),
    (r"path:.*", ("runc",), "without `process.capabilities` runc keeps all, and so may write more"),
    (r"mount:/dev/(null|zero|full|random|urandom|tty|console)", ("crun",), "devices bound into a user namespace: crun adds nosuid and noexec, runc and we nothing"),
    (r"file:/dev/mqueue", ("runc",), "in a user namespace the group of the message queues' root is nobody's in runc, crun's and ours is root's"),
    (r"mount:.*", ("crun",), "crun drops `shared`, `unbindable` and `nosymfollow` of a bind, and a read-only path inside a read-only path"),
    (r"path:.*", ("crun",), "crun: a read-only path inside another read-only path is writable"),
    (r"mount:.*", ("runc",), "with a shared root filesystem runc's read-only paths are peers of the host's mounts, ours are nobody's"),
    (r"namespace:pid|session", ("crun",), "crun makes a pid namespace that nobody asked for along with a time namespace"),
]

#: What our shim refuses and a peer runs: a part of our message, and why.
REFUSED = [
    ("cannot be taken away in a user namespace", "crun drops `noatime` and its like where the kernel refuses them in a user namespace; runc fails too"),
]


def table():
    """For docs/conformance.md."""
    lines = ["| what | against | reason |", "|---|---|---|"]
    for field, peers, reason in KNOWN:
        name = field.replace("|", "\\|")
        lines.append(f"| `{name}` | {', '.join(peers)} | {reason} |")
    for text, reason in REFUSED:
        lines.append(f"| refused: `{text}` | crun | {reason} |")
    return "\n".join(lines) + "\n"
