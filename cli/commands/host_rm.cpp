#include "backends/hosts/named_hosts.hpp"
#include "cli/commands/commands.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

class HostRm final : public CommandBody {
public:
    int run(const Globals&, std::vector<std::string> operands) override {
        backends::change_named_hosts(backends::named_hosts_path(), [&](backends::NamedHosts& hosts) {
            for (const auto& name : operands) {
                hosts.get(name);
                if (hosts.in_use == name) {
                    // Commands that were meant for it would run here from the next one on.
                    throw Error(ErrorKind::denied, "remove host " + name + ": it is the one in use")
                        .with_remedy("`locald host use local`, or another, first");
                }
                hosts.hosts.erase(name);
            }
        });
        return 0;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_host_rm() { return make_body<HostRm>(); }

}  // namespace locald::cli
