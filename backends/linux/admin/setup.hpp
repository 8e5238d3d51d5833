#pragma once

#include "core/runtime/container_runtime.hpp"
#include "core/runtime/host_setup.hpp"

namespace locald::backends {

/// `admin setup`, `admin status` and `admin remove` of this host.
class LinuxSetup final : public runtime::HostSetup {
public:
    explicit LinuxSetup(const runtime::RuntimeChoice& choice) : shim_(choice.shim) {}

    void set_up(const runtime::SetupOptions& options, const runtime::SetupSink& sink) override;
    void status(const runtime::SetupOptions& options, const runtime::SetupSink& sink) override;
    void remove(const runtime::SetupOptions& options, const runtime::SetupSink& sink) override;

private:
    void set_up_host(const runtime::SetupOptions& options, const runtime::SetupSink& sink) const;
    static void remove_from_host(const runtime::SetupOptions& options, const runtime::SetupSink& sink);

    std::string shim_;  ///< a given place of the shim; empty: beside our own program
};

}  // namespace locald::backends
