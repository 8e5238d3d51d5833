#pragma once

#include <string>

namespace locald::shim {

enum class LogLevel { debug, warning, error };

/// Opens the log of --log: a file (appended to, made 0644), or `file:PATH`, `journald:NAME`, `syslog:NAME`. Until
/// then, and without it, log() does nothing.
/// @param json  one object a line with `level`, `msg`, `time`; else `time="…" level=… msg="…"`
void open_log(const std::string& where, bool json, bool debug);
/// One record. Failing to write it is no error: the container matters more than its log.
void log(LogLevel level, const std::string& message);
/// True when records of level debug are kept.
bool log_debug() noexcept;

}  // namespace locald::shim
