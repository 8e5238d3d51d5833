#include "core/oci/json_spec_writer.hpp"

namespace locald::oci {

using writer::Object;
using writer::Place;
using writer::put_always;
using writer::put_some;
using writer::put_unknown;
using writer::Text;

void write(Text& text, const Place& place, const IdMapping& mapping) {
    Object object(text, place);
    put_always(object, "containerID", mapping.container_id);
    put_always(object, "hostID", mapping.host_id);
    put_always(object, "size", mapping.size);
    object.close();
}

static void write(Text& text, const Place& place, const Root& root) {
    Object object(text, place);
    put_always(object, "path", root.path);
    put_some(object, "readonly", root.readonly);
    put_unknown(object, root.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Mount& mount) {
    Object object(text, place);
    put_always(object, "destination", mount.destination);
    put_some(object, "type", mount.type);
    put_some(object, "source", mount.source);
    put_some(object, "options", mount.options);
    put_some(object, "uidMappings", mount.uid_mappings);
    put_some(object, "gidMappings", mount.gid_mappings);
    put_unknown(object, mount.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const User& user) {
    Object object(text, place);
    put_always(object, "uid", user.uid);
    put_always(object, "gid", user.gid);
    put_some(object, "umask", user.umask);
    put_some(object, "additionalGids", user.additional_gids);
    put_unknown(object, user.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const ConsoleSize& size) {
    Object object(text, place);
    put_always(object, "height", size.height);
    put_always(object, "width", size.width);
    put_unknown(object, size.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Capabilities& capabilities) {
    Object object(text, place);
    put_some(object, "bounding", capabilities.bounding);
    put_some(object, "effective", capabilities.effective);
    put_some(object, "inheritable", capabilities.inheritable);
    put_some(object, "permitted", capabilities.permitted);
    put_some(object, "ambient", capabilities.ambient);
    put_unknown(object, capabilities.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Rlimit& limit) {
    Object object(text, place);
    put_always(object, "type", limit.type);
    put_always(object, "hard", limit.hard);
    put_always(object, "soft", limit.soft);
    put_unknown(object, limit.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Scheduler& scheduler) {
    Object object(text, place);
    put_always(object, "policy", scheduler.policy);
    put_some(object, "nice", scheduler.nice);
    put_some(object, "priority", scheduler.priority);
    put_some(object, "flags", scheduler.flags);
    put_some(object, "runtime", scheduler.runtime);
    put_some(object, "deadline", scheduler.deadline);
    put_some(object, "period", scheduler.period);
    put_unknown(object, scheduler.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const IoPriority& priority) {
    Object object(text, place);
    put_always(object, "class", priority.ioclass);
    put_always(object, "priority", priority.priority);
    put_unknown(object, priority.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const ExecCpuAffinity& affinity) {
    Object object(text, place);
    put_some(object, "initial", affinity.initial);
    put_some(object, "final", affinity.final_);
    put_unknown(object, affinity.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Process& process) {
    Object object(text, place);
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
    object.close();
}

static void write(Text& text, const Place& place, const Hook& hook) {
    Object object(text, place);
    put_always(object, "path", hook.path);
    put_some(object, "args", hook.args);
    put_some(object, "env", hook.env);
    put_some(object, "timeout", hook.timeout);
    put_unknown(object, hook.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Hooks& hooks) {
    Object object(text, place);
    put_some(object, "prestart", hooks.prestart);
    put_some(object, "createRuntime", hooks.create_runtime);
    put_some(object, "createContainer", hooks.create_container);
    put_some(object, "startContainer", hooks.start_container);
    put_some(object, "poststart", hooks.poststart);
    put_some(object, "poststop", hooks.poststop);
    put_unknown(object, hooks.unknown);
    object.close();
}

static void write(Text& text, const Place& place, const Spec& spec) {
    Object object(text, place);
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
    object.close();
}

std::string to_json(const Spec& spec, bool pretty) { return writer::text_of(spec, pretty); }

std::string to_json(const Process& process, bool pretty) { return writer::text_of(process, pretty); }

}  // namespace locald::oci
