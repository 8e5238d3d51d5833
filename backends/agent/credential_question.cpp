#include "backends/agent/credential_question.hpp"

#include <chrono>
#include <utility>

#include "backends/protocol/values.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using protocol::Json;

// A cancel token cannot wake anybody, so it is looked at.
constexpr auto look_at_cancel = 100ms;

}  // namespace

std::optional<Credentials> CredentialQuestion::ask(const std::function<void(const Json&)>& send,
                                                   const CancelToken& cancel) {
    const std::lock_guard one_at_a_time(asking_);
    std::unique_lock lock(mutex_);
    waits_ = true;
    // Whoever it names would be believed, so it names nobody: the client knows which image it wanted.
    send(Json{{"ask", "credentials"}});
    while (!changed_.wait_for(lock, look_at_cancel, [this] { return !answer_.is_null(); })) {
        if (!cancel.cancelled()) continue;
        waits_ = false;
        cancel.check();
    }
    waits_ = false;
    const Json answer = std::exchange(answer_, nullptr);
    lock.unlock();
    if (const auto error = answer.find("error"); error != answer.end()) throw protocol::read_error(*error);
    const auto& found = answer.at("found");
    if (found.is_null()) return std::nullopt;
    return protocol::read_credentials(found);
}

void CredentialQuestion::answered(const Json& message) {
    const std::lock_guard lock(mutex_);
    if (!waits_) return;
    answer_ = message;
    changed_.notify_all();
}

}  // namespace locald::backends
