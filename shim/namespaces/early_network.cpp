#include "shim/namespaces/early_network.hpp"

#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "core/base/error.hpp"

namespace locald::shim {

EarlyNetwork::~EarlyNetwork() {
    const posix::UniqueFd unused = take();
    if (taken_) await_network_thread(&thread_);  // it writes to us until it has ended
}

void EarlyNetwork::start() noexcept { started_ = start_network_thread(&thread_) != 0; }

posix::UniqueFd EarlyNetwork::take() noexcept {
    if (!std::exchange(started_, false)) return {};
    taken_ = true;
    await_network_namespace(&thread_);
    return posix::UniqueFd(std::exchange(thread_.fd, -1));
}

void EarlyNetwork::finish() {
    if (!std::exchange(taken_, false)) return;
    await_network_thread(&thread_);
    if (thread_.state == network_thread_has_namespace && thread_.error != 0) throw_errno(thread_.error, "bring lo up");
}

bool early_network_likely(std::string_view config) noexcept {
    // An entry of linux.namespaces is an object without others inside: what is between its braces says all.
    // (memmem: std::string_view would stop at every quote.)
    const auto find = [config](std::string_view word, std::size_t from) {
        const void* at = ::memmem(config.data() + from, config.size() - from, word.data(), word.size());
        return at == nullptr ? std::string_view::npos
                             : static_cast<std::size_t>(static_cast<const char*>(at) - config.data());
    };
    const auto entry_of = [config, find](std::string_view type) -> std::string_view {
        for (auto at = find(type, 0); at != std::string_view::npos; at = find(type, at + 1)) {
            const auto begin = config.rfind('{', at);
            const auto end = config.find('}', at);
            if (begin == std::string_view::npos || end == std::string_view::npos) return {};
            const std::string_view entry = config.substr(begin, end - begin);
            const auto after = config.find_first_not_of(" \t\r\n", at + type.size());
            const bool is_key = after != std::string_view::npos && config[after] == ':';
            if (!is_key && entry.find("\"type\"") != std::string_view::npos) return entry;
        }
        return {};
    };
    const std::string_view network = entry_of("\"network\"");
    return !network.empty() && network.find("\"path\"") == std::string_view::npos && entry_of("\"user\"").empty();
}

bool early_network_possible(const NamespacePlan& plan) noexcept {
    return plan.is_new(CLONE_NEWNET) && !plan.has(CLONE_NEWUSER) && ::geteuid() == 0;
}

}  // namespace locald::shim
