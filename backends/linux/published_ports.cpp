#include "backends/linux/published_ports.hpp"

#include "core/base/error.hpp"
#include "core/host/tcp_listener.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::backends {

std::vector<bundle::PortOption> check_published_ports(std::vector<bundle::PortOption> ports) {
    for (auto& port : ports) {
        const auto inside = std::to_string(port.container_port);
        const auto step = "publish port " + inside + " of the container";
        if (port.host_port == 0) port.host_port = port.container_port;
        if (port.host_port != port.container_port) {
            const auto here = std::to_string(port.host_port);
            throw Error(ErrorKind::unsupported, step + " as " + here +
                                                    ": the container has the host's network, where its port " + inside +
                                                    " is port " + inside)
                .with_remedy("say -p " + inside + ":" + inside + ", or have the program listen on " + here);
        }
        if (!port.address.empty() && port.address != "0.0.0.0" && port.address != "::") {
            throw Error(ErrorKind::unsupported, step + " on " + port.address +
                                                    ": the container has the host's network, and its program says "
                                                    "itself on which addresses it listens")
                .with_remedy("have the program listen on " + port.address + ", and leave the address out");
        }
        // Whoever has it would be found there in the container's place.
        in_step(step, [&] { const posix::UniqueFd free(host::listen_tcp("0.0.0.0", port.host_port)); });
    }
    return ports;
}

}  // namespace locald::backends
