#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/bundle/parts.hpp"

namespace locald::bundle::parts {

namespace {

constexpr std::size_t most_hostname = 64;  // __NEW_UTS_LEN of the kernel
constexpr std::size_t id_part = 12;

bool is_host_letter(char c) noexcept {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

bool is_host_name(std::string_view text, std::size_t most) noexcept {
    return !text.empty() && text.size() <= most && text.front() != '-' && text.front() != '.' &&
           std::all_of(text.begin(), text.end(), [](char c) noexcept { return is_host_letter(c) || c == '_'; });
}

bool is_ipv4(std::string_view text) {
    const auto parts = split(text, '.');
    return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
               const auto value = parse_u64(part);
               return part.size() <= 3 && value && *value <= 255;
           });
}

/// Good enough to keep anything but an address out of the file; whether it is reachable nobody can say here.
bool is_ipv6(std::string_view text) noexcept {
    const auto address = text.substr(0, text.find('%'));
    return address.size() >= 2 && std::count(address.begin(), address.end(), ':') >= 2 &&
           address.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos &&
           text.find_first_of(" \t\r\n#") == std::string_view::npos;
}

void add_line(std::string& text, std::string_view address, std::string_view names) {
    text.append(address).append("\t").append(names).append("\n");
}

/// The host itself as the container reaches it; nothing without a network.
std::vector<std::string> host_addresses(const Plan& plan) {
    if (plan.options.network == NetworkMode::host) return {"127.0.0.1", "::1"};
    return {};
}

std::string make_hosts(const Plan& plan) {
    const auto gateway = host_addresses(plan);
    std::string text;
    bool alias_given = false;
    // The user's lines come first because the first match wins.
    for (const auto& [name, address] : plan.options.add_hosts) {
        std::string what = "--add-host ";
        what.append(name).append(":").append(address);
        if (!is_host_name(name, 253)) throw Error(ErrorKind::invalid, what + ": no host name");
        alias_given = alias_given || name == "host.docker.internal" || name == "host.containers.internal";
        if (address == "host-gateway") {
            if (gateway.empty()) {
                throw Error(ErrorKind::invalid, what + ": without a network nothing leads to the host");
            }
            add_line(text, gateway.front(), name);
        } else if (is_ipv4(address) || is_ipv6(address)) {
            add_line(text, address, name);
        } else {
            throw Error(ErrorKind::invalid, what + ": no address")
                .with_remedy("give an IPv4 or IPv6 address, or host-gateway");
        }
    }
    const bool shared = plan.options.network == NetworkMode::host && !plan.host.hosts.empty();
    if (shared) {
        text += plan.host.hosts;
        if (!text.ends_with('\n')) text += '\n';
    } else {
        add_line(text, "127.0.0.1", "localhost");
        add_line(text, "::1", "localhost ip6-localhost ip6-loopback");
    }
    add_line(text, "127.0.0.1", plan.hostname);
    if (!alias_given) {
        for (const auto& address : gateway) add_line(text, address, "host.docker.internal host.containers.internal");
    }
    return text;
}

bool has_entry(const std::string& text, std::size_t field, const std::string& value) {
    for (const auto line : split(text, '\n')) {
        const auto fields = split(line, ':');
        if (fields.size() > field && fields[field] == value) return true;
    }
    return false;
}

std::string with_line(std::string text, const std::string& line) {
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    return text + line + "\n";
}

/// The name of an entry that is made up: root for 0, under keep-id the caller's own, else the number.
std::string made_up_name(const Plan& plan, std::uint32_t id, const std::string& taken_in) {
    std::string name = std::to_string(id);
    if (id == 0) {
        name = "root";
    } else if (plan.options.userns == UserNamespaceMode::keep_id && is_host_name(plan.host.user_name, 32)) {
        name = plan.host.user_name;
    }
    return has_entry(taken_in, 0, name) ? std::to_string(id) : name;
}

void add_account_files(const Plan& plan, std::map<std::string, std::string>& files) {
    const std::string uid = std::to_string(plan.user.uid);
    const std::string gid = std::to_string(plan.user.gid);
    if (!has_entry(plan.accounts.passwd, 2, uid)) {
        const std::string name = made_up_name(plan, plan.user.uid, plan.accounts.passwd);
        const std::string home = plan.user.uid == 0 && plan.user.home == "/" ? "/root" : plan.user.home;
        files["passwd"] =
            with_line(plan.accounts.passwd, name + ":x:" + uid + ":" + gid + ":" + name + ":" + home + ":/bin/sh");
    }
    if (!has_entry(plan.accounts.group, 2, gid)) {
        files["group"] =
            with_line(plan.accounts.group, made_up_name(plan, plan.user.gid, plan.accounts.group) + ":x:" + gid + ":");
    }
}

}  // namespace

std::string make_hostname(const RunOptions& options) {
    if (!options.hostname.empty()) {
        if (!is_host_name(options.hostname, most_hostname)) {
            throw Error(ErrorKind::invalid, "hostname " + json_quote(options.hostname) +
                                                ": expected at most 64 letters, digits, dots and hyphens");
        }
        return options.hostname;
    }
    std::string name = options.id.substr(0, id_part);
    for (char& c : name) {
        if (!is_host_letter(c)) c = '-';  // ids may have characters that names of hosts have not
    }
    while (name.ends_with('-') || name.ends_with('.')) name.pop_back();
    return is_host_name(name, most_hostname) ? name : "locald";
}

std::map<std::string, std::string> make_files(const Plan& plan) {
    std::map<std::string, std::string> files;
    files["hosts"] = make_hosts(plan);
    files["hostname"] = plan.hostname + "\n";
    if (plan.options.network == NetworkMode::none) {
        // Without servers a resolver asks 127.0.0.1, where nobody answers: it fails at once instead of after a timeout.
        files["resolv.conf"] = "# no network\n";
    } else if (!plan.host.resolv_conf.empty()) {
        files["resolv.conf"] = plan.host.resolv_conf;
    }
    add_account_files(plan, files);
    return files;
}

std::string place_of_file(const std::string& name) { return "/etc/" + name; }

}  // namespace locald::bundle::parts
