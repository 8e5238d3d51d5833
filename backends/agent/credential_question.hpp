#pragma once

#include <nlohmann/json.hpp>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>

#include "core/base/credentials.hpp"
#include "core/base/progress.hpp"

namespace locald::backends {

/// The question to the client of one request for the credentials of the image that it named. The answer is kept
/// nowhere.
class CredentialQuestion {
public:
    /// @throws Error why the client could not look them up, or Error(cancelled)
    std::optional<Credentials> ask(const std::function<void(const nlohmann::json&)>& send, const CancelToken& cancel);
    /// What the client said; dropped where nobody asked.
    void answered(const nlohmann::json& message);

private:
    std::mutex asking_;  ///< one at a time
    std::mutex mutex_;
    std::condition_variable changed_;
    bool waits_ = false;
    nlohmann::json answer_;  ///< null: none yet
};

}  // namespace locald::backends
