#include <algorithm>
#include <array>

#include "core/bundle/parts.hpp"

namespace locald::bundle::parts {

namespace {

constexpr const char* stop_signal_key = "org.opencontainers.image.stopSignal";

/// Annotations that runtimes and engines act on. An image's label of such a name would steer them (CVE-2026-53488), so
/// it is not copied: ours, crun's, runc's, systemd's, criu's, podman's, the Kubernetes engines'.
constexpr std::array<std::string_view, 12> reserved{"locald.",
                                                    "io.locald.",
                                                    "run.oci.",
                                                    "org.opencontainers.runc.",
                                                    "org.systemd.property.",
                                                    "org.criu.",
                                                    "io.podman.",
                                                    "io.containerd.",
                                                    "io.containers.",
                                                    "io.kubernetes.cri",
                                                    "io.kubernetes.container",
                                                    "nerdctl/"};

bool is_reserved(std::string_view name) noexcept {
    return std::any_of(reserved.begin(), reserved.end(),
                       [name](std::string_view prefix) noexcept { return name.starts_with(prefix); });
}

std::string joined(std::vector<std::string> words) {
    std::sort(words.begin(), words.end());
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : ",") + word;
    return text;
}

}  // namespace

oci::Annotations make_annotations(const Plan& plan, const std::string& stop_signal) {
    oci::Annotations annotations;
    if (plan.image != nullptr) {
        const auto add = [&annotations](const char* name, const std::string& value) {
            if (!value.empty()) annotations[std::string("org.opencontainers.image.") + name] = value;
        };
        add("os", plan.image->os);
        add("architecture", plan.image->architecture);
        add("variant", plan.image->variant);
        add("author", plan.image->author);
        add("created", plan.image->created);
        add("exposedPorts", joined(plan.image->exposed_ports));
        for (const auto& [name, value] : plan.image->labels) {
            if (!name.empty() && !is_reserved(name)) annotations[name] = value;
        }
    }
    // After the labels: this one is read again, by load_bundle().
    annotations[stop_signal_key] = stop_signal;
    return annotations;
}

}  // namespace locald::bundle::parts
