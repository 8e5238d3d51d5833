#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/oci/json_spec_reader.hpp"

namespace locald::oci::reader {

namespace {

bool is_number(std::string_view text) noexcept {
    const bool digits = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    return !text.empty() && digits && (text == "0" || text.front() != '0');
}

/// Dot-separated identifiers after `-` or `+`; numeric ones of a pre-release have no leading zero.
bool are_identifiers(std::string_view text, bool pre_release) {
    for (const auto part : split(text, '.')) {
        const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
        const bool good = !part.empty() && std::all_of(part.begin(), part.end(), [&](char c) {
            return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
        });
        if (!good) return false;
        if (pre_release && std::all_of(part.begin(), part.end(), is_digit) && !is_number(part)) return false;
    }
    return true;
}

/// SemVer 2.0.0: MAJOR.MINOR.PATCH[-PRE][+BUILD].
bool is_semver(std::string_view text) {
    const auto plus = text.find('+');
    if (plus != std::string_view::npos && !are_identifiers(text.substr(plus + 1), false)) return false;
    text = text.substr(0, plus);
    const auto dash = text.find('-');
    if (dash != std::string_view::npos && !are_identifiers(text.substr(dash + 1), true)) return false;
    const auto parts = split(text.substr(0, dash), '.');
    return parts.size() == 3 && std::all_of(parts.begin(), parts.end(), is_number);
}

void check_version(const std::string& version, const Place& place) {
    constexpr std::size_t shown = 64;
    if (!is_semver(version)) {
        fail(place, "expected a SemVer version such as 1.3.0, got " + json_quote(version.substr(0, shown)));
    }
    if (!version.starts_with("1.")) {
        fail(place, "expected version 1 of the runtime-spec, got " + json_quote(version.substr(0, shown)));
    }
}

}  // namespace

void read(Json& value, const Place& place, IdMapping& out) {
    Object object(value, place);
    object.need("containerID", out.container_id);
    object.need("hostID", out.host_id);
    object.need("size", out.size);
}

static void read(Json& value, const Place& place, Root& out) {
    Object object(value, place);
    object.need("path", out.path);
    if (out.path.empty()) fail(Place(place, "path"), "must not be empty");
    object.get("readonly", out.readonly);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Mount& out) {
    Object object(value, place);
    object.need("destination", out.destination);
    if (out.destination.empty()) fail(Place(place, "destination"), "must not be empty");
    object.get("type", out.type);
    object.get("source", out.source);
    object.get("options", out.options);
    object.get("uidMappings", out.uid_mappings);
    object.get("gidMappings", out.gid_mappings);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, User& out) {
    Object object(value, place);
    // The spec asks for both ids; other runtimes take an absent one as 0, and configs rely on it.
    object.get("uid", out.uid);
    object.get("gid", out.gid);
    object.get("umask", out.umask);
    object.get("additionalGids", out.additional_gids);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, ConsoleSize& out) {
    Object object(value, place);
    object.need("height", out.height);
    object.need("width", out.width);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Capabilities& out) {
    Object object(value, place);
    object.get("effective", out.effective);
    object.get("bounding", out.bounding);
    object.get("inheritable", out.inheritable);
    object.get("permitted", out.permitted);
    object.get("ambient", out.ambient);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Rlimit& out) {
    Object object(value, place);
    object.need("type", out.type);
    object.need("soft", out.soft);
    object.need("hard", out.hard);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Scheduler& out) {
    Object object(value, place);
    object.need("policy", out.policy);
    object.get("nice", out.nice);
    object.get("priority", out.priority);
    object.get("flags", out.flags);
    object.get("runtime", out.runtime);
    object.get("deadline", out.deadline);
    object.get("period", out.period);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, IoPriority& out) {
    Object object(value, place);
    object.need("class", out.ioclass);
    object.get("priority", out.priority);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, ExecCpuAffinity& out) {
    Object object(value, place);
    object.get("initial", out.initial);
    object.get("final", out.final_);
    out.unknown = object.rest();
}

void read(Json& value, const Place& place, Process& out) {
    Object object(value, place);
    object.get("terminal", out.terminal);
    object.get("consoleSize", out.console_size);
    object.get("user", out.user);
    object.get("args", out.args);
    object.get("env", out.env);
    object.need("cwd", out.cwd);
    if (out.cwd.empty()) fail(Place(place, "cwd"), "Cwd property must not be empty");
    if (!out.cwd.starts_with('/')) fail(Place(place, "cwd"), "Cwd must be an absolute path");
    object.get("capabilities", out.capabilities);
    object.get("rlimits", out.rlimits);
    for (std::size_t i = 1; i < out.rlimits.size(); ++i) {
        // The kernel has 16 of them, so a longer list holds a duplicate early and this stays short.
        for (std::size_t j = 0; j < i; ++j) {
            if (out.rlimits[i].type != out.rlimits[j].type) continue;
            const Place list(place, "rlimits");
            fail(Place(list, i), "duplicated rlimit " + json_quote(out.rlimits[i].type.substr(0, 64)));
        }
    }
    object.get("noNewPrivileges", out.no_new_privileges);
    object.get("apparmorProfile", out.apparmor_profile);
    object.get("selinuxLabel", out.selinux_label);
    object.get("oomScoreAdj", out.oom_score_adj);
    object.get("scheduler", out.scheduler);
    object.get("ioPriority", out.io_priority);
    object.get("execCPUAffinity", out.exec_cpu_affinity);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Hook& out) {
    Object object(value, place);
    object.need("path", out.path);
    need_absolute(out.path, object, "path");
    object.get("args", out.args);
    object.get("env", out.env);
    object.get("timeout", out.timeout);
    if (out.timeout && *out.timeout < 1) {
        fail(Place(place, "timeout"), "expected at least 1 second, got " + std::to_string(*out.timeout));
    }
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Hooks& out) {
    Object object(value, place);
    object.get("prestart", out.prestart);
    object.get("createRuntime", out.create_runtime);
    object.get("createContainer", out.create_container);
    object.get("startContainer", out.start_container);
    object.get("poststart", out.poststart);
    object.get("poststop", out.poststop);
    out.unknown = object.rest();
}

static void read(Json& value, const Place& place, Spec& out) {
    Object object(value, place);
    object.need("ociVersion", out.oci_version);
    check_version(out.oci_version, Place(place, "ociVersion"));
    object.get("root", out.root);
    object.get("mounts", out.mounts);
    object.get("process", out.process);
    object.get("hostname", out.hostname);
    object.get("domainname", out.domainname);
    object.get("hooks", out.hooks);
    object.get("annotations", out.annotations);
    object.get("linux", out.linux_);
    out.unknown = object.rest();
}

}  // namespace locald::oci::reader

namespace locald::oci {

Spec parse_spec(std::string_view json) {
    const json::Document document(json);
    Spec spec;
    reader::read(document.root(), reader::Place(), spec);
    return spec;
}

Process parse_process(std::string_view json) {
    const json::Document document(json);
    Process process;
    reader::read(document.root(), reader::Place("process"), process);
    return process;
}

Resources parse_resources(std::string_view json) {
    const json::Document document(json);
    Resources resources;
    reader::read(document.root(), reader::Place("resources"), resources);
    return resources;
}

const Linux& Spec::get_linux() const {
    if (!linux_) throw Error(ErrorKind::invalid, "linux: is missing");
    return *linux_;
}

}  // namespace locald::oci
