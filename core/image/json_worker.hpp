#pragma once

#include <nlohmann/json_fwd.hpp>

#include <mutex>

#include "core/base/error.hpp"

namespace locald::image {

/// The worker's way to speak: one JSON object a line on a descriptor. Thread-safe.
class WorkerReport {
public:
    explicit WorkerReport(int fd) noexcept : fd_(fd) {}
    void send(const nlohmann::json& event);
    void send_error(const Error& error);

private:
    int fd_;
    std::mutex mutex_;
};

/// Enters the user namespace that was inherited, when the plan says so, and becomes its root; then gives up what the
/// work does not need: new rights by exec, life after the caller. To be called by the only thread.
void enter_worker_rights(const nlohmann::json& plan);

/// The verbs. Each opens what it is named by path before `enter`, with the caller's own rights.
void worker_unpack(const nlohmann::json& plan, WorkerReport& report);
void worker_flatten(const nlohmann::json& plan, WorkerReport& report);
void worker_remove(const nlohmann::json& plan, WorkerReport& report);

}  // namespace locald::image
