#include "shim/namespaces/early_network.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "shim/namespaces/loopback.hpp"

namespace locald::shim {

void* EarlyNetwork::make(void* self) noexcept {
    auto& network = *static_cast<EarlyNetwork*>(self);
    // Of this thread alone; the rest of the process stays where it is.
    if (::unshare(CLONE_NEWNET) != 0) return nullptr;
    const posix::UniqueFd made(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!made || !try_bring_loopback_up()) return nullptr;
    network.fd_ = ::fcntl(made.get(), F_DUPFD_CLOEXEC, 3);
    return nullptr;
}

void EarlyNetwork::start() noexcept { started_ = ::pthread_create(&thread_, nullptr, make, this) == 0; }

posix::UniqueFd EarlyNetwork::take() noexcept {
    if (!started_) return {};
    started_ = false;
    ::pthread_join(thread_, nullptr);
    return posix::UniqueFd(fd_);
}

bool early_network_likely(std::string_view config) noexcept {
    // An entry of linux.namespaces is an object without others inside: what is between its braces says all.
    const auto entry_of = [config](std::string_view type) -> std::string_view {
        for (auto at = config.find(type); at != std::string_view::npos; at = config.find(type, at + 1)) {
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
