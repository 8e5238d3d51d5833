#include "core/oci/json_spec_writer.hpp"

namespace locald::oci {

using writer::Json;
using writer::put_always;
using writer::put_some;
using writer::put_unknown;

Json write(const IdMapping& mapping) {
    Json object = Json::object();
    put_always(object, "containerID", mapping.container_id);
    put_always(object, "hostID", mapping.host_id);
    put_always(object, "size", mapping.size);
    return object;
}

static Json write(const Root& root) {
    Json object = Json::object();
    put_always(object, "path", root.path);
    put_some(object, "readonly", root.readonly);
    put_unknown(object, root.unknown);
    return object;
}

static Json write(const Mount& mount) {
    Json object = Json::object();
    put_always(object, "destination", mount.destination);
    put_some(object, "type", mount.type);
    put_some(object, "source", mount.source);
    put_some(object, "options", mount.options);
    put_some(object, "uidMappings", mount.uid_mappings);
    put_some(object, "gidMappings", mount.gid_mappings);
    put_unknown(object, mount.unknown);
    return object;
}

static Json write(const User& user) {
    Json object = Json::object();
    put_always(object, "uid", user.uid);
    put_always(object, "gid", user.gid);
    put_some(object, "umask", user.umask);
    put_some(object, "additionalGids", user.additional_gids);
    put_unknown(object, user.unknown);
    return object;
}

static Json write(const ConsoleSize& size) {
    Json object = Json::object();
    put_always(object, "height", size.height);
    put_always(object, "width", size.width);
    put_unknown(object, size.unknown);
    return object;
}

static Json write(const Capabilities& capabilities) {
    Json object = Json::object();
    put_some(object, "bounding", capabilities.bounding);
    put_some(object, "effective", capabilities.effective);
    put_some(object, "inheritable", capabilities.inheritable);
    put_some(object, "permitted", capabilities.permitted);
    put_some(object, "ambient", capabilities.ambient);
    put_unknown(object, capabilities.unknown);
    return object;
}

static Json write(const Rlimit& limit) {
    Json object = Json::object();
    put_always(object, "type", limit.type);
    put_always(object, "hard", limit.hard);
    put_always(object, "soft", limit.soft);
    put_unknown(object, limit.unknown);
    return object;
}

static Json write(const Scheduler& scheduler) {
    Json object = Json::object();
    put_always(object, "policy", scheduler.policy);
    put_some(object, "nice", scheduler.nice);
    put_some(object, "priority", scheduler.priority);
    put_some(object, "flags", scheduler.flags);
    put_some(object, "runtime", scheduler.runtime);
    put_some(object, "deadline", scheduler.deadline);
    put_some(object, "period", scheduler.period);
    put_unknown(object, scheduler.unknown);
    return object;
}

static Json write(const IoPriority& priority) {
    Json object = Json::object();
    put_always(object, "class", priority.ioclass);
    put_always(object, "priority", priority.priority);
    put_unknown(object, priority.unknown);
    return object;
}

static Json write(const ExecCpuAffinity& affinity) {
    Json object = Json::object();
    put_some(object, "initial", affinity.initial);
    put_some(object, "final", affinity.final_);
    put_unknown(object, affinity.unknown);
    return object;
}

static Json write(const Process& process) {
    Json object = Json::object();
    put_some(object, "terminal", process.terminal);
    put_some(object, "consoleSize", process.console_size);
    put_always(object, "user", process.user);
    put_some(object, "args", process.args);
    put_some(object, "env", process.env);
    put_always(object, "cwd", process.cwd);
    put_some(object, "capabilities", process.capabilities);
    put_some(object, "rlimits", process.rlimits);
    put_some(object, "noNewPrivileges", process.no_new_privileges);
    put_some(object, "apparmorProfile", process.apparmor_profile);
    put_some(object, "oomScoreAdj", process.oom_score_adj);
    put_some(object, "scheduler", process.scheduler);
    put_some(object, "selinuxLabel", process.selinux_label);
    put_some(object, "ioPriority", process.io_priority);
    put_some(object, "execCPUAffinity", process.exec_cpu_affinity);
    put_unknown(object, process.unknown);
    return object;
}

static Json write(const Hook& hook) {
    Json object = Json::object();
    put_always(object, "path", hook.path);
    put_some(object, "args", hook.args);
    put_some(object, "env", hook.env);
    put_some(object, "timeout", hook.timeout);
    put_unknown(object, hook.unknown);
    return object;
}

static Json write(const Hooks& hooks) {
    Json object = Json::object();
    put_some(object, "prestart", hooks.prestart);
    put_some(object, "createRuntime", hooks.create_runtime);
    put_some(object, "createContainer", hooks.create_container);
    put_some(object, "startContainer", hooks.start_container);
    put_some(object, "poststart", hooks.poststart);
    put_some(object, "poststop", hooks.poststop);
    put_unknown(object, hooks.unknown);
    return object;
}

static Json write(const Spec& spec) {
    Json object = Json::object();
    put_always(object, "ociVersion", spec.oci_version);
    put_some(object, "process", spec.process);
    put_some(object, "root", spec.root);
    put_some(object, "hostname", spec.hostname);
    put_some(object, "domainname", spec.domainname);
    put_some(object, "mounts", spec.mounts);
    // Hooks has empty() of its own, which knows nothing of unknown members, so the optional decides.
    if (spec.hooks) put_always(object, "hooks", *spec.hooks);
    put_some(object, "annotations", spec.annotations);
    put_some(object, "linux", spec.linux_);
    put_unknown(object, spec.unknown);
    return object;
}

std::string to_json(const Spec& spec, bool pretty) { return writer::text_of(write(spec), pretty); }

std::string to_json(const Process& process, bool pretty) { return writer::text_of(write(process), pretty); }

}  // namespace locald::oci
