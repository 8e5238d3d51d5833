#include <algorithm>

#include "cli/flags_values.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

constexpr std::uint64_t highest_port = 65535;

std::uint16_t parse_port(std::string_view value, std::string_view text) {
    if (text.find('-') != std::string_view::npos) {
        throw bad_value("--publish", value, "ranges of ports are not available").with_remedy("say -p for each port");
    }
    const auto port = parse_u64(text);
    if (!port || *port > highest_port) {
        throw bad_value("--publish", value, json_quote(text) + " is no port (1 to 65535)");
    }
    return static_cast<std::uint16_t>(*port);
}

bool is_numeric_address(std::string_view text) {
    const bool has_colon = text.find(':') != std::string_view::npos;
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= '0' && c <= '9') || c == '.' ||
               (has_colon && (c == ':' || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')));
    });
}

}  // namespace

bundle::PortOption parse_publish(std::string_view value) {
    std::string_view rest = value;
    if (const auto slash = rest.rfind('/'); slash != std::string_view::npos) {
        const auto protocol = rest.substr(slash + 1);
        if (protocol == "udp" || protocol == "sctp") {
            throw bad_value("--publish", value, "ports are published for TCP alone, not for " + std::string(protocol));
        }
        if (protocol != "tcp") throw bad_value("--publish", value, json_quote(protocol) + " is no protocol");
        rest = rest.substr(0, slash);
    }
    bundle::PortOption port;
    const auto last = rest.rfind(':');
    port.container_port = parse_port(value, last == std::string_view::npos ? rest : rest.substr(last + 1));
    if (port.container_port == 0) throw bad_value("--publish", value, "the container's port is 1 to 65535");
    if (last == std::string_view::npos) return port;
    rest = rest.substr(0, last);
    const auto before = rest.rfind(':');
    const auto number = before == std::string_view::npos ? rest : rest.substr(before + 1);
    if (before != std::string_view::npos) {
        auto address = rest.substr(0, before);
        if (address.starts_with('[') && address.ends_with(']')) {
            address = address.substr(1, address.size() - 2);
            if (address.find(':') == std::string_view::npos) address = {};
        } else if (address.find(':') != std::string_view::npos) {
            address = {};
        }
        if (!is_numeric_address(address)) {
            throw bad_value("--publish", value, "the host's address is one like 127.0.0.1, 0.0.0.0 or [::1]");
        }
        port.address = address;
    }
    if (!number.empty()) port.host_port = parse_port(value, number);
    return port;
}

}  // namespace locald::cli
