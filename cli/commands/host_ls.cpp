#include <string>
#include <vector>

#include "backends/hosts/named_hosts.hpp"
#include "backends/remote/holder.hpp"
#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

/// The host as the user wrote it, without what is kept beside it.
std::string shown(const std::string& address) { return printable(without_query(address)); }

class HostLs final : public CommandBody {
public:
    int run(const Globals& globals, std::vector<std::string>) override {
        const auto named = backends::read_own_named_hosts();
        auto holders = backends::list_holders();
        const auto used = globals.host.empty() ? named.in_use : globals.host;
        Table table({"NAME", "HOST", "PID", "COMMANDS"});
        for (const auto& [name, host] : named.hosts) {
            std::vector<std::string> row{name + (name == used ? " *" : ""), shown(host.url), "-", "-"};
            const auto address = host.address();
            for (auto holder = holders.begin(); holder != holders.end(); ++holder) {
                if (holder->host != address) continue;
                row[2] = std::to_string(holder->pid);
                row[3] = std::to_string(holder->clients);
                holders.erase(holder);
                break;
            }
            table.add(std::move(row));
        }
        for (const auto& holder : holders) {
            table.add({"-", shown(holder.host), std::to_string(holder.pid), std::to_string(holder.clients)});
        }
        print(table.str());
        return 0;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_host_ls() { return make_body<HostLs>(); }

}  // namespace locald::cli
