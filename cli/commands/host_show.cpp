#include "backends/hosts/named_hosts.hpp"
#include "cli/commands/commands.hpp"
#include "cli/output.hpp"

namespace locald::cli {

namespace {

class HostShow final : public CommandBody {
public:
    int run(const Globals&, std::vector<std::string> operands) override {
        const auto all = backends::read_own_named_hosts();
        backends::NamedHosts one;
        one.hosts.emplace(operands.front(), all.get(operands.front()));
        if (all.in_use == operands.front()) one.in_use = all.in_use;
        print(backends::write_named_hosts(one));
        return 0;
    }
};

}  // namespace

std::unique_ptr<CommandBody> make_host_show() { return make_body<HostShow>(); }

}  // namespace locald::cli
