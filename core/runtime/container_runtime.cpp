#include "core/runtime/container_runtime.hpp"

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

}  // namespace locald::runtime
