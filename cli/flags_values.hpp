#pragma once

// One value of one flag each, in docker's spelling. Pure: no I/O. Every error is Error(invalid) that names flag and
// value.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/error.hpp"
#include "core/bundle/options.hpp"

namespace locald::cli {

/// `<flag> "<value>": <why>`.
Error bad_value(std::string_view flag, std::string_view value, std::string_view why);

/// Bytes: `512`, `64k`, `1.5g`, `10MiB`; k, m, g, t are powers of 1024, as docker has them.
std::uint64_t parse_size(std::string_view flag, std::string_view value);
/// `--memory`: like a size, at least 6 MiB; nothing for 0, which means no limit.
std::optional<std::int64_t> parse_memory(std::string_view value);
/// `--cpus 1.5` as the quota in µs per period of 100,000 µs; nothing for 0.
std::optional<std::int64_t> parse_cpus(std::string_view value);
/// `--pids-limit`: -1 is unlimited; nothing for 0, which leaves the default.
std::optional<std::int64_t> parse_pids_limit(std::string_view value);
/// `--ulimit nofile=1024[:4096]`; -1 is unlimited.
bundle::UlimitOption parse_ulimit(std::string_view value);
/// `--stop-signal`: a name or a number that Linux has, returned as it is written.
std::string parse_stop_signal(std::string_view value);
/// `--add-host NAME:ADDRESS`; `host-gateway` is the host, which in its own network is 127.0.0.1.
std::pair<std::string, std::string> parse_add_host(std::string_view value, bundle::NetworkMode network);
/// `--publish [[ADDRESS:][PORT]:]PORT[/tcp]`.
bundle::PortOption parse_publish(std::string_view value);
std::string parse_hostname(std::string_view value);
std::string parse_workdir(std::string_view value);
bundle::NetworkMode parse_network(std::string_view value);
bundle::PullPolicy parse_pull(std::string_view value);
bundle::UserNamespaceMode parse_userns(std::string_view value);
/// `--security-opt`: whether it asks for no_new_privs; the other options of docker are refused.
bool parse_security_opt(std::string_view value);

/// What is said wherever somebody asks for ports or networks.
inline constexpr std::string_view network_sentence =
    "the container shares the host's network; ports it opens are host ports";

}  // namespace locald::cli
