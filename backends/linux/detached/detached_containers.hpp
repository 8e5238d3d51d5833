#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/linux/detached/records.hpp"
#include "backends/linux/environment.hpp"
#include "core/runtime/container_runtime.hpp"

namespace locald::backends {

/// The part of the Linux backend that is about detached containers: their records and keepers.
class DetachedContainers {
public:
    DetachedContainers(runtime::RuntimeChoice choice, Environment& env);

    runtime::DetachedStart run(const bundle::Source& source, const bundle::RunOptions& options,
                               const runtime::DetachOptions& how, const ProgressSink& progress,
                               const CancelToken& cancel);
    std::vector<runtime::ContainerInfo> all();
    /// The record of `id`. @throws Error(not_found)
    Record get(const std::string& id);
    runtime::ExitStatus wait(const std::string& id, const CancelToken& cancel);
    void stop(const std::string& id, std::chrono::milliseconds grace);
    /// Removes the record of a container that has ended, or with `force` ends it. @throws Error(not_found)
    void remove(const std::string& id, bool force);
    std::unique_ptr<runtime::ContainerHandle> attach(const std::string& id, const runtime::AttachOptions& how,
                                                     const runtime::Stdio& stdio);
    void logs(const std::string& id, const runtime::LogOptions& options, int out, int err, const CancelToken& cancel);
    const Records& records();

private:
    std::optional<runtime::ExitStatus> known_end(const std::string& id);
    /// Until whoever keeps the container has recorded its end.
    runtime::ExitStatus await_end(const std::string& id, const CancelToken& cancel);

    runtime::RuntimeChoice choice_;
    Environment& env_;
    std::mutex mutex_;
    std::optional<Records> records_;
};

}  // namespace locald::backends
