#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "backends/linux/admin/places.hpp"
#include "backends/linux/admin/root_command.hpp"
#include "backends/linux/admin/root_files.hpp"
#include "core/base/error.hpp"

namespace locald::backends::admin {

namespace {

struct Unit {
    const char* name;
    std::string text;
    std::string path() const { return std::string("/etc/systemd/system/") + name; }
};

/// Its cgroup is what the shim makes users' subtrees in (shim/start/subtree.c). systemd 257 removes the cgroup of a
/// service whose processes have all ended, RemainAfterExit= or not: so one process waits in it, in a child of its own,
/// because a cgroup that has processes hands no controllers on. `$$` is systemd's way to write `$`.
Unit service() {
    return {"locald.service",
            "# Written by `locald admin setup`; `locald admin remove` takes it away.\n"
            "[Unit]\n"
            "Description=Cgroups for the containers of locald's users\n"
            "\n"
            "[Service]\n"
            "Type=exec\n"
            "Restart=always\n"
            "Slice=system.slice\n"
            "Delegate=yes\n"
            "KillMode=process\n"
            "ExecStart=/bin/sh -c 'cd \"/sys/fs/cgroup$$(sed -n s/^0:://p /proc/self/cgroup)\" && "
            "[ -e cgroup.subtree_control ] && mkdir -p setup && echo 0 > setup/cgroup.procs && "
            "for name in memory pids cpu io cpuset hugetlb; do "
            "echo +$$name > cgroup.subtree_control; done 2>/dev/null; exec sleep infinity'\n"
            "\n"
            "[Install]\n"
            "WantedBy=multi-user.target\n"};
}

Unit mount() {
    return {"run-locald.mount", std::string("# Written by `locald admin setup`; `locald admin remove` takes it away.\n"
                                            "[Unit]\n"
                                            "Description=States of the containers of locald's users\n"
                                            "\n"
                                            "[Mount]\n"
                                            "What=locald\n"
                                            "Where=/run/locald\n"
                                            "Type=tmpfs\n"
                                            "Options=nosuid,nodev,noexec,") +
                                    states_options +
                                    "\n"
                                    "\n"
                                    "[Install]\n"
                                    "WantedBy=local-fs.target\n"};
}

std::array<Unit, 2> units() { return {service(), mount()}; }

bool is_active(const std::string& systemctl, const char* name) {
    return try_root_program({systemctl, "is-active", "--quiet", name});
}

std::string get_systemctl() {
    std::string path = find_root_program("systemctl");
    if (path.empty()) throw Error(ErrorKind::not_found, "systemd is the init of this host, and systemctl is not here");
    return path;
}

}  // namespace

bool has_systemd() {
    struct stat st {};
    return ::lstat("/run/systemd/system", &st) == 0 && S_ISDIR(st.st_mode) && kernel_text("/proc/1/comm") == "systemd";
}

void see_to_units(const Work& work) {
    const std::string systemctl = get_systemctl();
    for (const auto& unit : units()) {
        const std::string id = unit.name == std::string("locald.service") ? "cgroup.unit" : "run.unit";
        const bool written = read_root_file(unit.path()) == unit.text;
        const bool held_back = id == "run.unit" && has_states() && !is_active(systemctl, unit.name);
        if (held_back) {
            work.note(id, "containers have their states in /run/locald: the tmpfs comes at the next start of the host");
        }
        work.see_to(id, written && (held_back || is_active(systemctl, unit.name)),
                    {unit.path() + " is written and " + unit.name + (held_back ? " is enabled" : " is started"),
                     written ? std::string(unit.name) + " is not started" : unit.path() + " is not what setup writes"},
                    "sudo locald admin remove", [&] {
                        if (!written) write_root_file(unit.path(), unit.text);
                        run_root_program({systemctl, "daemon-reload"});
                        run_root_program({systemctl, "--quiet", "enable", unit.name});
                        if (!held_back) run_root_program({systemctl, "start", unit.name});
                    });
    }
}

void remove_units(const Work& work) {
    const bool booted = has_systemd();
    const bool states = has_states();
    for (const auto& unit : units()) {
        const bool there = read_root_file(unit.path()).has_value();
        if (!there && !booted) continue;
        if (there && states) {
            work.note("systemd.unit", "containers are running: " + unit.path() + " stays",
                      "sudo locald admin remove   # when they have ended");
            continue;
        }
        work.see_away("systemd.unit", !there, unit.path(), {}, [&] {
            if (booted) run_root_program({get_systemctl(), "--quiet", "disable", "--now", unit.name});
            remove_root_file(unit.path());
            if (booted) run_root_program({get_systemctl(), "daemon-reload"});
        });
    }
}

}  // namespace locald::backends::admin
