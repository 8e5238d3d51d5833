#include "backends/linux/published_ports.hpp"

#include "core/base/error.hpp"
#include "core/host/tcp_listener.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::backends {

namespace {

void check(bundle::PortOption& port) {
    const auto inside = std::to_string(port.container_port);
    if (port.host_port == 0) port.host_port = port.container_port;
    if (port.host_port != port.container_port) {
        const auto here = std::to_string(port.host_port);
        Error error(ErrorKind::unsupported,
                    std::string("it cannot be ")
                        .append(here)
                        .append(" outside: the container has the host's network, and its ports are the host's"));
        throw error.with_remedy(std::string("say -p ")
                                    .append(inside)
                                    .append(":")
                                    .append(inside)
                                    .append(", or have the program listen on ")
                                    .append(here));
    }
    if (!port.address.empty() && port.address != "0.0.0.0" && port.address != "::") {
        Error error(
            ErrorKind::unsupported,
            std::string("on ")
                .append(port.address)
                .append(": the container has the host's network, and its program says itself on which addresses it "
                        "listens"));
        throw error.with_remedy(
            std::string("have the program listen on ").append(port.address).append(", and leave the address out"));
    }
    // Whoever has it would be found there in the container's place.
    const posix::UniqueFd free(host::listen_tcp("0.0.0.0", port.host_port));
}

}  // namespace

std::vector<bundle::PortOption> check_published_ports(std::vector<bundle::PortOption> ports) {
    for (auto& port : ports) {
        in_step("publish port " + std::to_string(port.container_port) + " of the container", [&] { check(port); });
    }
    return ports;
}

}  // namespace locald::backends
