#include <unistd.h>

#include "backends/hosts/named_hosts.hpp"
#include "backends/hosts/path_map.hpp"
#include "backends/hosts/ssh_address.hpp"
#include "backends/table_remote.hpp"
#include "cli/caller.hpp"
#include "cli/commands/commands.hpp"
#include "cli/flags_mounts.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

/// @throws Error unless it is there to be read
std::string readable_file(const char* flag, const std::string& path) {
    auto clean = clean_path(path, this_process().cwd);
    if (::access(clean.c_str(), R_OK) != 0) throw_errno(errno, flag, ": read ", clean);
    return clean;
}

class HostAdd final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.text("--identity", "FILE", identity_,
                   "Log in by this private key alone; with --ssh-agent its .pub will do");
        flags.flag("--ssh-agent", agent_, "Ask ssh-agent for keys when logging in there; else nobody asks it");
        flags.text("--known-hosts", "FILE", known_hosts_, "Look for the server's key in this file alone");
        flags.text("--host-key", "KEY", host_key_,
                   "The server has this key: SHA256:... as ssh-keygen -l prints it, or the line of its .pub file");
        flags.list(
            "--map", "HERE=THERE[:ro]", map_,
            "The host sees this host's directory HERE as THERE, so that it can be mounted; with :mount only while "
            "something is mounted at THERE");
        flags.flag("--pin", pin_, "Connect now, show the key that the server has, and believe it from now on");
        flags.flag("--use,--default", use_, "Run the commands that name no host there from now on");
        flags.flag("--replace", replace_, "If there is such a host already, it becomes this one");
    }

    int run(const Globals&, std::vector<std::string> operands) override {
        const std::string name = operands.at(0);
        if (!backends::is_host_name(name) || name == backends::local_host) {
            throw Error(ErrorKind::invalid, "name a host " + json_quote(name) + ": " +
                                                (name == backends::local_host ? "that is this host"
                                                                              : "it has other characters than A-Z a-z "
                                                                                "0-9 _ . - or does not begin with a "
                                                                                "letter or digit, or is too long"));
        }
        auto host = taken_host(operands.at(1));
        if (pin_) {
            host.host_key = runtime::ask_host_key(host.address());
            note("the key of " + without_query(operands.at(1)) + " is " + printable(host.host_key) +
                 "; it is believed from now on");
        }
        backends::change_named_hosts(backends::named_hosts_path(), [&](backends::NamedHosts& hosts) {
            if (!replace_ && hosts.hosts.contains(name)) {
                throw Error(ErrorKind::exists,
                            "add host " + name + ": there is one of this name, " + hosts.hosts.at(name).url)
                    .with_remedy("take another name, or say --replace");
            }
            hosts.hosts[name] = host;
            if (use_) hosts.in_use = name;
        });
        return 0;
    }

private:
    backends::NamedHost taken_host(const std::string& url) const {
        if (!host_key_.empty() && pin_) throw Error(ErrorKind::invalid, "--host-key and --pin exclude each other");
        if (!known_hosts_.empty() && (pin_ || !host_key_.empty())) {
            throw Error(ErrorKind::invalid, "--known-hosts and a key of its own exclude each other");
        }
        auto address = backends::parse_ssh_address(url);
        if (!url.starts_with("ssh://")) {
            throw Error(ErrorKind::invalid,
                        "host " + json_quote(without_query(url)) + ": it does not begin with ssh://")
                .with_remedy("write ssh://" + address.str());
        }
        backends::NamedHost host;
        host.identity = identity_.empty() ? address.identity : readable_file("--identity", identity_);
        host.known_hosts = known_hosts_.empty() ? address.known_hosts : readable_file("--known-hosts", known_hosts_);
        host.host_key = host_key_.empty() ? address.host_key : backends::parse_host_key(host_key_);
        host.agent = agent_ || address.agent;
        address.agent = false;
        address.identity = address.known_hosts = address.host_key = "";
        host.url = address.text();
        for (const auto& tree : map_) host.shared.push_back(backends::parse_shared_tree(tree));
        // Two that are the same are found here and not at the first run.
        static_cast<void>(backends::PathMap(host.shared, backends::PathCase::sensitive, backends::resolve_links));
        return host;
    }

    std::string identity_, known_hosts_, host_key_;
    std::vector<std::string> map_;
    bool agent_ = false, pin_ = false, use_ = false, replace_ = false;
};

}  // namespace

std::unique_ptr<CommandBody> make_host_add() { return make_body<HostAdd>(); }

}  // namespace locald::cli
