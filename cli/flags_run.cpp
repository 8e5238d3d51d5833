#include "cli/flags_run.hpp"

#include "cli/flags_mounts.hpp"
#include "cli/flags_values.hpp"
#include "core/base/text.hpp"
#include "core/oci/image_spec.hpp"
#include "core/oci/reference.hpp"

namespace locald::cli {

void RunFlags::add_to(FlagSet& flags) {
    flags.group("Program");
    flags.flag("-i,--interactive", interactive_, "Give the container our stdin; without it stdin is empty");
    flags.flag("-t,--tty", tty_, "Give the container a terminal");
    flags.list("-e,--env", "NAME[=VALUE]", env_, "Set a variable; a name alone takes its value from here");
    flags.list("--env-file", "FILE", env_files_, "Read variables from a file, one NAME=VALUE a line");
    flags.text("-w,--workdir", "DIR", workdir_, "Directory inside the container to start in");
    flags.text("-u,--user", "USER[:GROUP]", user_, "User inside the container, by name or number");
    flags.text("--entrypoint", "PROGRAM", entrypoint_, "Run this instead of the image's entrypoint; \"\" for none");
    flags.flag("--init", init_, "Run a small init as process 1 that forwards signals and reaps processes");
    flags.text("--stop-signal", "SIGNAL", stop_signal_, "Signal that asks the program to end (default: the image's)");

    flags.group("Container");
    flags.text("--name", "NAME", name_, "Name of the container, unique among yours");
    flags.flag("-d,--detach", detach_, "Run it in the background and print its id");
    flags.flag("--rm", remove_, "Remove it when it ends; one in the foreground always is");
    flags.text("-h,--hostname", "NAME", hostname_, "The container's own host name");
    flags.list("--add-host", "NAME:ADDRESS", add_hosts_, "Add a line to /etc/hosts; host-gateway is this host");
    flags.text("--network,--net", "host|none", network_,
               "host (default): " + std::string(network_sentence) + ". none: loopback only");
    flags.text("--userns", "keep-id", userns_,
               "Keep your own id inside, so that files in a mounted directory stay yours");

    flags.list("-p,--publish", "[[ADDRESS:]PORT:]PORT", publish_,
               "Reach a TCP port of the container by one of this host; 0, or none, for any that is free");

    flags.group("Files");
    flags.list("-v,--volume", "SRC:DST[:ro]", volumes_, "Show a directory or file of the host inside the container");
    flags.list("--mount", "KEY=VALUE,…", mounts_, "The same in words: type=bind|tmpfs,source=…,target=…[,readonly]");
    flags.list("--tmpfs", "DIR[:OPTIONS]", tmpfs_, "An empty directory in memory, like /run:size=64m,mode=755");
    flags.flag("--read-only", read_only_, "The container's root filesystem cannot be written to");
    flags.text("--shm-size", "SIZE", shm_size_, "Size of /dev/shm (default: 64m)");
    flags.flag("--rootfs", rootfs_, "A directory with a root filesystem stands in for IMAGE");

    flags.group("Image");
    flags.text("--pull", "WHEN", pull_, "Fetch the image: always, missing (default) or never");
    flags.text("--platform", "OS/ARCH", platform_, "Take the image of this platform, like linux/arm64");

    flags.group("Limits and rights");
    flags.text("-m,--memory", "SIZE", memory_, "Most memory, like 512m or 2g");
    flags.text("--cpus", "NUMBER", cpus_, "Most processor time, like 1.5 for one and a half processors");
    flags.text("--pids-limit", "NUMBER", pids_limit_, "Most processes; -1 for no limit");
    flags.list("--ulimit", "NAME=SOFT[:HARD]", ulimits_, "Limit of each process, like nofile=1024:4096");
    flags.list("--cap-add", "NAME", cap_add_, "Add a capability, like NET_ADMIN, or ALL");
    flags.list("--cap-drop", "NAME", cap_drop_, "Take a capability away, or ALL");
    flags.list("--security-opt", "OPTION", security_opts_, "no-new-privileges: programs cannot gain rights by setuid");
    flags.group("Options");

    const std::string network = std::string(network_sentence);
    flags.refuse("-P,--publish-all", "name each port by -p");
    flags.refuse("--restart", "nobody is there to start it again; use a service manager");
    flags.refuse("--privileged", "add what the program needs by --cap-add");
    flags.refuse("--device", "devices of the host cannot be given to a container");
    flags.refuse("--gpus", "devices of the host cannot be given to a container");
    flags.refuse("--link", network);
    flags.refuse("--volumes-from", "name the directories by -v");
    flags.refuse("-l,--label", "containers have no labels; --name gives one a name");
    flags.refuse("--label-file", "containers have no labels; --name gives one a name");
    flags.refuse("--log-driver", "there are no log drivers; a service manager or your shell keeps the output");
    flags.refuse("--log-opt", "there are no log drivers; a service manager or your shell keeps the output");
    flags.refuse("--sysctl", "containers have the kernel's defaults in their own namespaces and the host's elsewhere");
    flags.refuse("--cgroup-parent",
                 "a container's cgroup is locald/user-<uid>/<id>; --memory, --cpus and --pids-limit limit it");
    const std::string maps =
        "an ordinary user's ids come from /etc/subuid and /etc/subgid; --userns keep-id keeps his own";
    flags.refuse("--uidmap", maps);
    flags.refuse("--gidmap", maps);
}

void RunFlags::take_source(bundle::Source& source, const std::string& operand, const Caller& caller) const {
    if (operand.empty()) throw Error(ErrorKind::invalid, "the name of the image is empty");
    if (rootfs_) {
        source.rootfs = clean_path(operand, caller.cwd);
    } else {
        source.image = oci::parse_image_name(operand);
    }
    if (!pull_.empty()) source.pull = parse_pull(pull_);
    if (!platform_.empty()) source.platform = oci::parse_platform(platform_);
}

void RunFlags::take_mounts(RunRequest& request, const Caller& caller) const {
    auto& mounts = request.options.mounts;
    for (const auto& value : volumes_) {
        mounts.push_back(parse_volume(value, caller.cwd));
        request.volume_sources.push_back(mounts.back().source);
    }
    for (const auto& value : mounts_) mounts.push_back(parse_mount(value, caller.cwd));
    for (const auto& value : tmpfs_) mounts.push_back(parse_tmpfs(value));
    check_destinations(mounts);
}

void RunFlags::take_limits(bundle::RunOptions& options) const {
    if (!memory_.empty()) options.memory_bytes = parse_memory(memory_);
    if (!cpus_.empty()) options.cpu_quota_us = parse_cpus(cpus_);
    if (!pids_limit_.empty()) options.pids_limit = parse_pids_limit(pids_limit_);
    for (const auto& value : ulimits_) options.ulimits.push_back(parse_ulimit(value));
    if (!shm_size_.empty()) options.shm_bytes = parse_size("--shm-size", shm_size_);
}

RunRequest RunFlags::request(const std::vector<std::string>& operands, const Caller& caller) const {
    RunRequest request;
    auto& options = request.options;
    if (!name_.empty()) in_step("--name", [&] { check_container_id(name_); });
    options.id = name_;
    take_source(request.source, operands.at(0), caller);
    options.command.assign(operands.begin() + 1, operands.end());
    options.entrypoint = entrypoint_;
    // Files first: what stands on the command line wins, wherever it stands.
    for (const auto& path : env_files_) {
        const std::string text = in_step("--env-file", [&] { return caller.read_file(path); });
        parse_env_file(text, path, caller.environment, options.env);
    }
    for (const auto& value : env_) parse_env_flag(value, caller.environment, options.env);
    take_mounts(request, caller);
    take_limits(options);
    if (!workdir_.empty()) options.workdir = parse_workdir(workdir_);
    options.user = user_;
    if (!hostname_.empty()) options.hostname = parse_hostname(hostname_);
    if (!stop_signal_.empty()) options.stop_signal = parse_stop_signal(stop_signal_);
    if (!network_.empty()) options.network = parse_network(network_);
    if (!userns_.empty()) options.userns = parse_userns(userns_);
    for (const auto& value : add_hosts_) options.add_hosts.push_back(parse_add_host(value, options.network));
    for (const auto& value : publish_) options.ports.push_back(parse_publish(value));
    if (!options.ports.empty() && options.network == bundle::NetworkMode::none) {
        throw Error(ErrorKind::invalid,
                    "--publish and --network none exclude each other: nothing leads into the container");
    }
    for (const auto& value : security_opts_) options.no_new_privileges = parse_security_opt(value);
    options.cap_add = cap_add_;
    options.cap_drop = cap_drop_;
    options.tty = tty_;
    options.read_only = read_only_;
    options.init = init_;
    request.interactive = interactive_;
    request.detach = detach_;
    request.remove = remove_;
    return request;
}

}  // namespace locald::cli
