#include "core/runtime/container_runtime.hpp"

#include "core/runtime/host_setup.hpp"

namespace locald::runtime {

std::string_view to_string(Finding::Severity severity) noexcept {
    switch (severity) {
        case Finding::Severity::ok:
            return "ok";
        case Finding::Severity::note:
            return "note";
        case Finding::Severity::warning:
            return "warning";
        case Finding::Severity::critical:
            break;
    }
    return "critical";
}

std::string_view to_string(SetupStep::State state) noexcept {
    switch (state) {
        case SetupStep::State::good:
            return "good";
        case SetupStep::State::done:
            return "done";
        case SetupStep::State::would:
            return "would";
        case SetupStep::State::missing:
            return "missing";
        case SetupStep::State::note:
            break;
    }
    return "note";
}

HostSetup& ContainerRuntime::host_setup() {
    throw Error(ErrorKind::unsupported, "set the host up: this backend needs nothing to be set up on it");
}

}  // namespace locald::runtime
