#include "backends/hosts/named_hosts.hpp"
#include "backends/remote/holder.hpp"
#include "cli/commands/commands.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

class HostDisconnect final : public CommandBody {
public:
    int run(const Globals& globals, std::vector<std::string> operands) override {
        const std::string host = operands.empty() ? globals.host : operands.front();
        const auto named = backends::read_own_named_hosts();
        if (host == backends::local_host) {
            throw Error(ErrorKind::invalid, "disconnect from local: no connection leads to this host");
        }
        const auto ended = backends::end_holders(named.address_of(host));
        for (const auto& holder : ended) print(without_query(holder.host) + "\n");
        if (ended.empty() && !host.empty()) {
            throw Error(ErrorKind::not_found,
                        "disconnect from " + without_query(host) + ": no connection to it is kept")
                .with_remedy("`locald host ls` shows those that are");
        }
        return 0;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_host_disconnect() { return make_body<HostDisconnect>(); }

}  // namespace locald::cli
