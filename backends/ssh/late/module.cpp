// The loadable module: the SSH backend with all it links, behind a few symbols.

#include <memory>

#include "backends/ssh/ssh_forwards.hpp"
#include "backends/ssh/ssh_runtime.hpp"

extern "C" {

__attribute__((visibility("default"))) locald::runtime::ContainerRuntime* locald_ssh_make(
    const locald::runtime::RuntimeChoice* choice) {
    return locald::backends::make_ssh_runtime(*choice).release();
}

__attribute__((visibility("default"))) locald::backends::AgentLink* locald_ssh_bulk(const char* host) {
    return std::make_unique<locald::backends::AgentLink>(locald::backends::open_ssh_bulk(host)).release();
}

__attribute__((visibility("default"))) int locald_ssh_hold(const char* host) {
    return locald::backends::hold_ssh(host);
}

__attribute__((visibility("default"))) void locald_ssh_forward(
    const char* address, const std::vector<locald::bundle::PortOption>* ports,
    std::shared_ptr<locald::backends::PortForwards>* forwards) {
    *forwards = locald::backends::open_ssh_forwards(address, *ports);
}

__attribute__((visibility("default"))) void locald_ssh_host_key(const char* address, std::string* key) {
    *key = locald::backends::ask_ssh_host_key(address);
}
}
