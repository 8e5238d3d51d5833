#include "backends/ssh/connect.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "backends/ssh/bootstrap.hpp"
#include "backends/ssh/known_hosts.hpp"
#include "backends/ssh/tcp.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t jumps_most = 8;

struct Me {
    std::string name, home;
};

Me who_am_i() {
    Me me;
    if (const char* home = std::getenv("HOME")) me.home = home;
    if (const passwd* entry = ::getpwuid(::getuid())) {
        me.name = entry->pw_name;
        if (me.home.empty()) me.home = entry->pw_dir;
    }
    return me;
}

std::optional<std::string> read_if_there(const std::string& path) {
    std::ifstream file(path);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), {});
}

/// ssh_config(5), "TOKENS", as far as they stand in HostName, IdentityFile and IdentityAgent.
std::string with_tokens(const std::string& text, const Me& me, const std::string& host, const std::string& user) {
    std::string result;
    std::size_t at = 0;
    if (text.starts_with("~/")) {
        result = me.home;
        at = 1;
    }
    for (; at < text.size(); ++at) {
        if (text[at] != '%' || at + 1 == text.size()) {
            result += text[at];
            continue;
        }
        switch (text[++at]) {
            case '%':
                result += '%';
                break;
            case 'd':
                result += me.home;
                break;
            case 'h':
                result += host;
                break;
            case 'r':
                result += user;
                break;
            case 'u':
                result += me.name;
                break;
            default:
                result += {'%', text[at]};
        }
    }
    return result;
}

/// ssh_config(5), IdentityAgent, as Login has it; nothing where it says `none`.
std::optional<std::string> agent_of(const std::string& text, const Me& me, const std::string& host,
                                    const std::string& user) {
    if (text == "none") return std::nullopt;
    if (text.empty() || text == "SSH_AUTH_SOCK") return "$SSH_AUTH_SOCK";
    if (text.starts_with("${") && text.ends_with('}')) return "$" + text.substr(2, text.size() - 3);
    return text.starts_with('$') ? text : with_tokens(text, me, host, user);
}

/// @param asks_agent  a host behind this one is to be logged in to by ssh-agent
SshRoute find_route(const SshAddress& address, std::size_t depth, bool asks_agent) {
    const Me me = who_am_i();
    SshHostConfig config;
    for (const auto& path : {me.home + "/.ssh/config", std::string("/etc/ssh/ssh_config")}) {
        if (const auto text = read_if_there(path)) read_ssh_config(*text, path, address.host, config);
    }
    SshRoute route;
    route.name = address.str();
    route.host = config.host_name.empty() ? address.host : with_tokens(config.host_name, me, address.host, "");
    route.user = !address.user.empty() ? address.user : !config.user.empty() ? config.user : me.name;
    route.port = address.port != 0 ? address.port : config.port != 0 ? config.port : 22;
    route.known_as = route.host;
    route.known_hosts = {me.home + "/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"};
    if (!address.known_hosts.empty()) route.known_hosts = {address.known_hosts};
    route.host_key = address.host_key;
    for (const auto& file : config.identity_files) {
        route.identity_files.push_back(with_tokens(file, me, route.host, route.user));
    }
    if (config.identity_files.empty()) {
        for (const char* name : {"id_ed25519", "id_ecdsa", "id_rsa"}) {
            route.identity_files.push_back(me.home + "/.ssh/" + name);
        }
    }
    if (!address.identity.empty()) route.identity_files = {address.identity};
    route.agent_keys_of_files = !address.identity.empty();
    if (address.agent || asks_agent) {
        const auto agent = agent_of(config.identity_agent, me, route.host, route.user);
        if (!agent && address.agent) {
            throw Error(ErrorKind::invalid, "find the way to " + address.host +
                                                ": ssh-agent is to be asked, and ssh_config says IdentityAgent none")
                .with_remedy("take that away for this host, or leave --ssh-agent or agent=yes away");
        }
        route.agent = agent.value_or("");
    }
    if (config.proxy_jump.empty() || config.proxy_jump == "none") return route;
    if (depth >= jumps_most) {
        throw Error(ErrorKind::invalid, "find the way to " + address.host + ": more than 8 jumps")
            .with_remedy("look for hosts in ~/.ssh/config whose ProxyJump lead in a circle");
    }
    for (const auto part : split(config.proxy_jump, ',')) {
        auto jump = find_route(parse_ssh_address(trim(part)), depth + 1, address.agent || asks_agent);
        for (auto& before : std::exchange(jump.jumps, {})) route.jumps.push_back(std::move(before));
        route.jumps.push_back(std::move(jump));
    }
    return route;
}

/// A session that keeps those it runs through.
struct Chained {
    std::shared_ptr<SshSession> before;
    SshSession session;
    Chained(std::shared_ptr<SshSession> jump, int socket, const std::string& name, const Login& login,
            std::chrono::milliseconds most)
        : before(std::move(jump)), session(socket, name, login, most) {}
};

using KeyCheck = std::function<void(const HostKey&)>;

/// @param check  instead of the one that the route asks for
std::shared_ptr<SshSession> open_one(const SshRoute& route, std::shared_ptr<SshSession> jump,
                                     std::chrono::milliseconds most, const KeyCheck& check = {}) {
    const int socket = jump ? jump->connect(route.host, route.port, most).release()
                            : connect_tcp(route.host, route.port, route.name, most);
    const KnownHosts known(route.known_hosts, route.known_as, route.port);
    Login login;
    login.user = route.user;
    login.identity_files = route.identity_files;
    login.agent = route.agent;
    login.agent_keys_of_files = route.agent_keys_of_files;
    if (const auto space = route.host_key.find(' '); space != std::string::npos) {
        login.host_key_types = {route.host_key.substr(0, space)};
    } else if (route.host_key.empty()) {
        login.host_key_types = known.types();
    }
    login.check_host_key = [&](const HostKey& key) {
        if (check) return check(key);
        route.host_key.empty() ? known.check(key) : check_pinned(key, route.host_key);
    };
    auto chained = std::make_shared<Chained>(std::move(jump), socket, route.name, login, most);
    return {chained, &chained->session};
}

}  // namespace

SshRoute find_route(const SshAddress& address) { return find_route(address, 0, false); }

namespace {

std::shared_ptr<SshSession> open_jumps(const SshRoute& route, std::chrono::milliseconds most) {
    std::shared_ptr<SshSession> session;
    for (const auto& jump : route.jumps) {
        session = in_step("jump by " + jump.name + " to " + route.name, [&] { return open_one(jump, session, most); });
    }
    return session;
}

}  // namespace

std::shared_ptr<SshSession> open_session(const SshRoute& route, std::chrono::milliseconds most) {
    return open_one(route, open_jumps(route, most), most);
}

HostKey ask_host_key(const SshRoute& route) {
    struct Seen {
        HostKey key;
    };
    try {
        const auto greeting_most = protocol::timing_between_hosts().greeting;
        // Nothing is said to a server before its key was looked at, so this is the end of the conversation.
        open_one(route, open_jumps(route, greeting_most), greeting_most, [](const HostKey& key) { throw Seen{key}; });
    } catch (const Seen& seen) {
        return seen.key;
    }
    throw Error(ErrorKind::corrupt, "connect to " + route.name + ": host key: the server showed none");
}

AgentLink open_agent(const SshRoute& route, AgentMode mode) {
    struct Connection {
        std::shared_ptr<SshSession> session;
        SshChannel channel;
    };
    const auto pairs = find_guest_pairs();
    auto connection = std::make_shared<Connection>();
    connection->session = open_session(route, protocol::timing_between_hosts().greeting);
    connection->channel = start_agent(*connection->session, route.name, pairs, mode);
    AgentLink link;
    link.handle = connection->channel.release();
    link.explain = [connection, name = route.name](const Error& error) {
        return explain_agent_end(error, name, connection->channel.wait(1s).value_or(RemoteExit{}));
    };
    link.keeps = std::move(connection);
    return link;
}

std::shared_ptr<AgentClient> connect_agent(const SshRoute& route) {
    struct Connection {
        AgentLink link;
        std::unique_ptr<AgentClient> client;
    };
    auto connection = std::make_shared<Connection>(Connection{open_agent(route), nullptr});
    try {
        connection->client = std::make_unique<AgentClient>(connection->link.handle, connection->link.handle, route.name,
                                                           protocol::timing_between_hosts());
    } catch (const Error& e) {
        throw connection->link.explain(e);
    }
    return {connection, connection->client.get()};
}

}  // namespace locald::backends
