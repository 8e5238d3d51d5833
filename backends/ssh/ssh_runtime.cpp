#include "backends/ssh/ssh_runtime.hpp"

#include "backends/remote/remote_runtime.hpp"
#include "backends/ssh/connect.hpp"
#include "backends/ssh/ssh_forwards.hpp"
#include "core/registry/credentials/credential_store.hpp"

namespace locald::backends {

std::unique_ptr<runtime::ContainerRuntime> make_ssh_runtime(const runtime::RuntimeChoice& choice) {
    const auto address = parse_ssh_address(choice.host);
    return make_remote_runtime(
        [address] { return connect_agent(find_route(address)); }, reconnect_to_host_most,
        OtherHost{choice.shared,
                  [text = choice.host](const auto& ports) { return open_ssh_forwards(text, ports); },
                  [address] { return open_agent(find_route(address), AgentMode::bulk); },
                  {},
                  registry::credentials_for_another_host()});
}

AgentLink open_ssh_bulk(const std::string& host) {
    return open_agent(find_route(parse_ssh_address(host)), AgentMode::bulk);
}

int hold_ssh(const std::string& host) {
    return hold(host, [&host] { return open_agent(find_route(parse_ssh_address(host))); });
}

std::string ask_ssh_host_key(const std::string& address) {
    const auto key = ask_host_key(find_route(parse_ssh_address(address)));
    return key.type + " " + key.fingerprint;
}

}  // namespace locald::backends
