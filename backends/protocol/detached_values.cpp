#include "backends/protocol/detached_values.hpp"

#include <nlohmann/json.hpp>

#include "backends/protocol/fields.hpp"

namespace locald::protocol {

template <>
inline constexpr int enum_count<runtime::ContainerInfo::Status> = 4;

template <class F, Is<runtime::DetachOptions> T>
void fields_of(F& fields, T& options) {
    fields("openStdin", options.open_stdin);
    fields("remove", options.remove);
}

template <class F, Is<runtime::DetachedStart> T>
void fields_of(F& fields, T& start) {
    fields("id", start.id);
    fields("warnings", start.warnings);
}

template <class F, Is<host::ExitStatus> T>
void fields_of(F& fields, T& status) {
    fields("code", status.code);
    fields("signal", status.signal);
}

template <class F, Is<runtime::ContainerInfo> T>
void fields_of(F& fields, T& container) {
    fields("id", container.id);
    fields("image", container.image);
    fields("command", container.command);
    fields("created", container.created);
    fields("started", container.started);
    fields("ended", container.ended);
    fields("status", container.status);
    fields("exit", container.exit);
    fields("pid", container.pid);
    fields("detached", container.detached);
    fields("tty", container.tty);
    fields("openStdin", container.open_stdin);
    fields("remove", container.remove);
}

template <class F, Is<runtime::ExecOptions> T>
void fields_of(F& fields, T& options) {
    fields("command", options.command);
    fields("env", options.env);
    fields("workdir", options.workdir);
    fields("user", options.user);
    fields("tty", options.tty);
    fields("detach", options.detach);
}

template <class F, Is<runtime::OutputPlace> T>
void fields_of(F& fields, T& place) {
    fields("position", place.position);
    fields("out", place.out);
    fields("err", place.err);
    fields("linesToSkip", place.lines_to_skip);
    fields("lines", place.lines);
}

template <class F, Is<runtime::LogOptions> T>
void fields_of(F& fields, T& options) {
    fields("follow", options.follow);
    fields("timestamps", options.timestamps);
    fields("tail", options.tail);
    fields("since", options.since);
    fields("until", options.until);
    fields("resume", options.resume);
}

Json write_detach_options(const runtime::DetachOptions& options) { return write_fields(options); }
runtime::DetachOptions read_detach_options(const Json& json) { return read_fields<runtime::DetachOptions>(json); }
Json write_detached_start(const runtime::DetachedStart& start) { return write_fields(start); }

runtime::DetachedStart read_detached_start(const Json& json) {
    auto start = read_fields<runtime::DetachedStart>(json);
    start.id = without_escapes(start.id);
    for (auto& warning : start.warnings) warning = without_escapes(warning);
    return start;
}

Json write_container(const runtime::ContainerInfo& container) { return write_fields(container); }
runtime::ContainerInfo read_container(const Json& json) {
    auto container = read_fields<runtime::ContainerInfo>(json);
    container.id = without_escapes(container.id);
    return container;
}
Json write_exec_options(const runtime::ExecOptions& options) { return write_fields(options); }
runtime::ExecOptions read_exec_options(const Json& json) { return read_fields<runtime::ExecOptions>(json); }
Json write_log_options(const runtime::LogOptions& options) { return write_fields(options); }
runtime::LogOptions read_log_options(const Json& json) { return read_fields<runtime::LogOptions>(json); }
Json write_place(const runtime::OutputPlace& place) { return write_fields(place); }
runtime::OutputPlace read_place(const Json& json) { return read_fields<runtime::OutputPlace>(json); }
Json write_exit(const host::ExitStatus& status) { return write_fields(status); }
host::ExitStatus read_exit(const Json& json) { return read_fields<host::ExitStatus>(json); }

}  // namespace locald::protocol
