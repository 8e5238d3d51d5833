// The loadable module: the SSH backend with all it links, behind two symbols.

#include "backends/ssh/ssh_runtime.hpp"

extern "C" {

__attribute__((visibility("default"))) locald::runtime::ContainerRuntime* locald_ssh_make(
    const locald::runtime::RuntimeChoice* choice) {
    return locald::backends::make_ssh_runtime(*choice).release();
}

__attribute__((visibility("default"))) int locald_ssh_hold(const char* host) {
    return locald::backends::hold_ssh(host);
}
}
