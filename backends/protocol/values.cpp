#include "backends/protocol/values.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>

#include "backends/protocol/fields.hpp"
#include "core/base/base64.hpp"
#include "core/base/text.hpp"
#include "core/oci/runtime_spec.hpp"

namespace locald::protocol {

template <>
inline constexpr int enum_count<bundle::PullPolicy> = 3;
template <>
inline constexpr int enum_count<bundle::NetworkMode> = 2;
template <>
inline constexpr int enum_count<bundle::UserNamespaceMode> = 2;
template <>
inline constexpr int enum_count<bundle::MountOption::Type> = 2;
template <>
inline constexpr int enum_count<oci::ImageKind> = 4;
template <>
inline constexpr int enum_count<runtime::Finding::Severity> = 4;

template <class F, Is<bundle::MountOption> T>
void fields_of(F& fields, T& mount) {
    fields("type", mount.type);
    fields("source", mount.source);
    fields("destination", mount.destination);
    fields("readOnly", mount.read_only);
    fields("options", mount.options);
}

template <class F, Is<bundle::UlimitOption> T>
void fields_of(F& fields, T& limit) {
    fields("type", limit.type);
    fields("soft", limit.soft);
    fields("hard", limit.hard);
}

template <class F, Is<oci::ConsoleSize> T>
void fields_of(F& fields, T& size) {
    fields("height", size.height);
    fields("width", size.width);
}

template <class F, Is<bundle::RunOptions> T>
void fields_of(F& fields, T& run) {
    fields("id", run.id);
    fields("command", run.command);
    fields("entrypoint", run.entrypoint);
    fields("env", run.env);
    fields("mounts", run.mounts);
    fields("workdir", run.workdir);
    fields("user", run.user);
    fields("hostname", run.hostname);
    fields("stopSignal", run.stop_signal);
    fields("capAdd", run.cap_add);
    fields("capDrop", run.cap_drop);
    fields("ulimits", run.ulimits);
    fields("addHosts", run.add_hosts);
    fields("memory", run.memory_bytes);
    fields("cpuQuota", run.cpu_quota_us);
    fields("pidsLimit", run.pids_limit);
    fields("shm", run.shm_bytes);
    fields("network", run.network);
    fields("userns", run.userns);
    fields("consoleSize", run.console_size);
    fields("tty", run.tty);
    fields("readOnly", run.read_only);
    fields("init", run.init);
    fields("noNewPrivileges", run.no_new_privileges);
}

template <class F, Is<oci::Platform> T>
void fields_of(F& fields, T& platform) {
    fields("os", platform.os);
    fields("architecture", platform.architecture);
    fields("variant", platform.variant);
}

template <class F, Is<runtime::Finding> T>
void fields_of(F& fields, T& finding) {
    fields("id", finding.id);
    fields("severity", finding.severity);
    fields("summary", finding.summary);
    fields("remedy", finding.remedy);
}

template <class F, Is<runtime::ProbeReport> T>
void fields_of(F& fields, T& report) {
    fields("backend", report.backend);
    fields("usable", report.usable);
    fields("findings", report.findings);
}

template <class F, Is<runtime::ImageSummary> T>
void fields_of(F& fields, T& image) {
    fields("name", image.name);
    fields("id", image.id);
    fields("manifestDigest", image.manifest_digest);
    fields("platform", image.platform);
    fields("created", image.created);
    fields("size", image.size);
}

template <class F, Is<Progress> T>
void fields_of(F& fields, T& progress) {
    fields("step", progress.step);
    fields("object", progress.object);
    fields("done", progress.done);
    fields("total", progress.total);
    fields("finished", progress.finished);
}

template <class F, Is<oci::ImageName> T>
void fields_of(F& fields, T& name) {
    fields("kind", name.kind);
    fields("path", name.path);
    fields("selector", name.selector);
    fields("text", name.text);
}

// How a source crosses: the image by the text that the user wrote, which is parsed again.
struct CrossingSource {
    std::optional<std::string> image;
    std::string rootfs;
    bundle::PullPolicy pull = bundle::PullPolicy::missing;
    std::optional<oci::Platform> platform;
};

template <class F, Is<CrossingSource> T>
void fields_of(F& fields, T& source) {
    fields("image", source.image);
    fields("rootfs", source.rootfs);
    fields("pull", source.pull);
    fields("platform", source.platform);
}

struct CrossingCredentials {
    std::string username, password, identity_token, source;
};

template <class F, Is<CrossingCredentials> T>
void fields_of(F& fields, T& credentials) {
    fields("username", credentials.username);
    fields("password", credentials.password);
    fields("identityToken", credentials.identity_token);
    fields("source", credentials.source);
}

struct CrossingBundle {
    std::string dir, config, stop_signal;
    std::vector<std::string> warnings;
};

template <class F, Is<CrossingBundle> T>
void fields_of(F& fields, T& bundle) {
    fields("dir", bundle.dir);
    fields("config", bundle.config);
    fields("stopSignal", bundle.stop_signal);
    fields("warnings", bundle.warnings);
}

struct CrossingError {
    std::string kind, message, remedy;
    int number = 0;
};

template <class F, Is<CrossingError> T>
void fields_of(F& fields, T& error) {
    fields("kind", error.kind);
    fields("message", error.message);
    fields("remedy", error.remedy);
    fields("errno", error.number);
}

Json write_options(const bundle::RunOptions& options) { return write_fields(options); }
bundle::RunOptions read_options(const Json& json) { return read_fields<bundle::RunOptions>(json); }

Json write_source(const bundle::Source& source) {
    CrossingSource crossing;
    if (source.image) crossing.image = source.image->text;
    crossing.rootfs = source.rootfs;
    crossing.pull = source.pull;
    crossing.platform = source.platform;
    return write_fields(crossing);
}

bundle::Source read_source(const Json& json) {
    const auto crossing = read_fields<CrossingSource>(json);
    bundle::Source source;
    if (crossing.image) source.image = oci::parse_image_name(*crossing.image);
    source.rootfs = crossing.rootfs;
    source.pull = crossing.pull;
    source.platform = crossing.platform;
    return source;
}

Json write_probe(const runtime::ProbeReport& report) { return write_fields(report); }
runtime::ProbeReport read_probe(const Json& json) { return read_fields<runtime::ProbeReport>(json); }
Json write_image_name(const oci::ImageName& name) { return write_fields(name); }
oci::ImageName read_image_name(const Json& json) { return read_fields<oci::ImageName>(json); }
Json write_image(const runtime::ImageSummary& image) { return write_fields(image); }
runtime::ImageSummary read_image(const Json& json) {
    auto image = read_fields<runtime::ImageSummary>(json);
    image.id = without_escapes(image.id);
    return image;
}

Json write_images(const std::vector<runtime::ImageSummary>& images) {
    auto list = Json::array();
    for (const auto& image : images) list.push_back(write_image(image));
    return list;
}

std::vector<runtime::ImageSummary> read_images(const Json& json) {
    if (!json.is_array()) throw Error(ErrorKind::corrupt, "expected a list of images");
    std::vector<runtime::ImageSummary> images;
    for (const auto& one : json) images.push_back(read_image(one));
    return images;
}

Json write_credentials(const Credentials& credentials) {
    return write_fields(CrossingCredentials{base64_encode(credentials.username), base64_encode(credentials.password),
                                            base64_encode(credentials.identity_token), credentials.source});
}

Credentials read_credentials(const Json& json) {
    auto crossing = read_fields<CrossingCredentials>(json);
    const auto decoded = [](const char* name, const std::string& text) {
        auto bytes = base64_decode(text);
        if (!bytes) throw Error(ErrorKind::corrupt, std::string("member ") + name + " is not base64");
        return std::move(*bytes);
    };
    return {decoded("username", crossing.username), decoded("password", crossing.password),
            decoded("identityToken", crossing.identity_token), without_escapes(crossing.source)};
}

Json write_bundle(const bundle::ContainerBundle& bundle) {
    return write_fields(CrossingBundle{bundle.dir, oci::to_json(bundle.spec), bundle.stop_signal, bundle.warnings});
}

bundle::ContainerBundle read_bundle(const Json& json) {
    auto crossing = read_fields<CrossingBundle>(json);
    bundle::ContainerBundle bundle;
    bundle.dir = std::move(crossing.dir);
    bundle.spec = oci::parse_spec(crossing.config);
    bundle.stop_signal = std::move(crossing.stop_signal);
    bundle.warnings = std::move(crossing.warnings);
    return bundle;
}

Json write_progress(const Progress& progress) { return write_fields(progress); }
Progress read_progress(const Json& json) { return read_fields<Progress>(json); }

Json write_error(const Error& error) {
    return write_fields(
        CrossingError{std::string(to_string(error.kind())), error.message(), error.remedy(), error.os_errno()});
}

Error read_error(const Json& json) {
    const auto crossing = read_fields<CrossingError>(json);
    Error error(error_kind_from(crossing.kind), without_escapes(crossing.message), crossing.number);
    if (!crossing.remedy.empty()) error.with_remedy(without_escapes(crossing.remedy));
    return error;
}

Json write_milliseconds(std::chrono::milliseconds time) {
    return std::clamp<std::int64_t>(time.count(), 0, UINT32_MAX);
}

std::chrono::milliseconds read_milliseconds(const Json& json) {
    return std::chrono::milliseconds(json.get<std::uint32_t>());
}

std::string without_escapes(std::string_view text) { return without_controls(text, '?', "\t"); }

std::string dump(const Json& json) {
    try {
        return json.dump();
    } catch (const Json::exception& e) {
        throw Error(ErrorKind::invalid, std::string("write JSON: ") + e.what())
            .with_remedy("every argument, variable and path must be UTF-8 to cross to another host");
    }
}

namespace {

/// How many arrays and objects stand in each other at most. What copies a value later goes into itself for each of
/// them.
std::size_t depth_of(std::string_view text) {
    std::size_t depth = 0, deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return deepest;
}

}  // namespace

Json parse(std::string_view text) {
    constexpr std::size_t depth_most = 64;
    if (depth_of(text) > depth_most) throw Error(ErrorKind::corrupt, "read JSON: it is nested too deeply");
    try {
        return Json::parse(text);
    } catch (const Json::exception& e) {
        throw Error(ErrorKind::corrupt, std::string("read JSON: ") + e.what());
    }
}

}  // namespace locald::protocol
