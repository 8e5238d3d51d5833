#include "shim/criu/options.hpp"

namespace locald::shim {

namespace {

std::string mode(Walker& walker) {
    std::string text = walker.value();
    if (text != "soft" && text != "full" && text != "strict" && text != "ignore") {
        walker.refuse("option --manage-cgroups-mode: expected soft, full, strict or ignore, got \"" + text + "\"");
    }
    return text;
}

bool take_common(CriuOptions& options, Walker& walker, const std::string& name) {
    if (name == "--image-path") {
        options.image_path = walker.value();
    } else if (name == "--work-path") {
        options.work_path = walker.value();
    } else if (name == "--tcp-established") {
        options.tcp_established = walker.flag();
    } else if (name == "--ext-unix-sk") {
        options.ext_unix_sk = walker.flag();
    } else if (name == "--shell-job") {
        options.shell_job = walker.flag();
    } else if (name == "--file-locks") {
        options.file_locks = walker.flag();
    } else if (name == "--lazy-pages") {
        options.lazy_pages = walker.flag();
    } else if (name == "--auto-dedup") {
        options.auto_dedup = walker.flag();
    } else if (name == "--manage-cgroups-mode") {
        options.cgroups_mode = mode(walker);
    } else if (name == "--empty-ns") {
        options.empty_ns = walker.value();
        if (options.empty_ns != "network") walker.refuse("option --empty-ns: expected network");
    } else {
        return false;
    }
    return true;
}

bool take_checkpoint(CriuOptions& options, Walker& walker, const std::string& name) {
    if (name == "--parent-path") {
        options.parent_path = walker.value();
    } else if (name == "--leave-running") {
        options.leave_running = walker.flag();
    } else if (name == "--tcp-skip-in-flight") {
        options.tcp_skip_in_flight = walker.flag();
    } else if (name == "--link-remap") {
        options.link_remap = walker.flag();
    } else if (name == "--pre-dump") {
        options.pre_dump = walker.flag();
    } else if (name == "--status-fd") {
        options.status_fd = static_cast<int>(walker.number(1U << 20U));
    } else if (name == "--page-server") {
        options.page_server = walker.value();
        if (options.page_server.rfind(':') == std::string::npos) {
            walker.refuse("option --page-server: expected ADDRESS:PORT, got \"" + options.page_server + "\"");
        }
    } else {
        return false;
    }
    return true;
}

bool take_restore(CriuOptions& options, Walker& walker, const std::string& name) {
    if (name == "-b" || name == "--bundle") {
        options.bundle = walker.value();
    } else if (name == "--pid-file") {
        options.pid_file = walker.value();
    } else if (name == "-d" || name == "--detach") {
        options.detach = walker.flag();
    } else if (name == "--lsm-profile") {
        options.lsm_profile = walker.value();
    } else if (name == "--lsm-mount-context") {
        options.lsm_mount_context = walker.value();
    } else if (name == "--console-socket") {
        walker.value();  // a checkpoint has no terminal
    } else if (name == "--no-pivot" || name == "--no-subreaper") {
        walker.flag();
    } else {
        return false;
    }
    return true;
}

}  // namespace

CriuOptions parse_criu(const Globals& globals, Walker& walker, bool restore) {
    CriuOptions options;
    options.root = globals.root;
    options.criu = globals.criu;
    options.systemd_cgroup = globals.systemd_cgroup;
    options.cgroups_disabled = globals.cgroups_disabled;
    for (std::string name; walker.next_option(name);) {
        if (take_common(options, walker, name)) continue;
        if (!(restore ? take_restore(options, walker, name) : take_checkpoint(options, walker, name))) walker.unknown();
    }
    walker.need_exactly(1);
    options.id = walker.arguments()[0];
    if (options.work_path.empty()) options.work_path = options.image_path;
    return options;
}

}  // namespace locald::shim
