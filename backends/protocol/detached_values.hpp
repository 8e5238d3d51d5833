#pragma once

// The values of detached containers as JSON and back, as values.hpp does it.

#include "backends/protocol/values.hpp"
#include "core/runtime/detached.hpp"

namespace locald::protocol {

Json write_detach_options(const runtime::DetachOptions& options);
runtime::DetachOptions read_detach_options(const Json& json);
Json write_detached_start(const runtime::DetachedStart& start);
runtime::DetachedStart read_detached_start(const Json& json);
Json write_container(const runtime::ContainerInfo& container);
runtime::ContainerInfo read_container(const Json& json);
Json write_exec_options(const runtime::ExecOptions& options);
runtime::ExecOptions read_exec_options(const Json& json);
Json write_log_options(const runtime::LogOptions& options);
runtime::LogOptions read_log_options(const Json& json);
Json write_place(const runtime::OutputPlace& place);
runtime::OutputPlace read_place(const Json& json);
Json write_exit(const host::ExitStatus& status);
host::ExitStatus read_exit(const Json& json);

}  // namespace locald::protocol
