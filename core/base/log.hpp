#pragma once

#include <functional>
#include <string_view>

namespace locald {

enum class LogLevel { debug, info, warning, error };

/// Where log lines go; by default warnings and errors go to stderr as `locald: warning: …`.
using LogSink = std::function<void(LogLevel, std::string_view)>;

/// Replaces the sink for the whole process; an empty function restores the default. Not meant to be called while others
/// log.
void set_log_sink(LogSink sink);

/// Lines below `level` are dropped before they reach the sink (default: warning).
void set_log_level(LogLevel level) noexcept;

/// Hands one line without a line end to the sink. Thread-safe.
void log(LogLevel level, std::string_view line);

}  // namespace locald
