#include "core/registry/retry.hpp"

#include <algorithm>
#include <ctime>
#include <random>
#include <string>
#include <thread>

#include "core/base/text.hpp"

namespace locald::registry {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds first_delay = 500ms;
constexpr std::chrono::milliseconds longest_delay = 10s;
constexpr std::chrono::milliseconds cancel_step = 50ms;

void sleep_for(std::chrono::milliseconds time, const CancelToken& cancel) {
    const auto until = std::chrono::steady_clock::now() + time;
    for (;;) {
        cancel.check();
        const auto left = until - std::chrono::steady_clock::now();
        if (left <= 0ns) return;
        std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, cancel_step));
    }
}

}  // namespace

std::optional<std::chrono::seconds> parse_retry_after(std::string_view value) {
    value = trim(value);
    if (const auto seconds = parse_u64(value)) {
        constexpr std::uint64_t a_year = 31'536'000;
        return std::chrono::seconds(std::min(*seconds, a_year));
    }
    std::tm date{};
    const char* end = ::strptime(std::string(value).c_str(), "%a, %d %b %Y %H:%M:%S", &date);
    if (end == nullptr) return std::nullopt;
    const auto at = std::chrono::system_clock::from_time_t(::timegm(&date));
    return std::max(0s, std::chrono::ceil<std::chrono::seconds>(at - std::chrono::system_clock::now()));
}

void Retries::wait_or_throw(const Transient& failure, const CancelToken& cancel) {
    const auto asked = failure.retry_after();
    if (used_ >= most_ || (asked && *asked > longest_retry_after)) throw Transient(failure);
    const auto full = std::min(longest_delay, first_delay * (1U << std::min<std::size_t>(used_, 10)));
    ++used_;
    thread_local std::mt19937 random{std::random_device{}()};
    std::uniform_int_distribution<std::chrono::milliseconds::rep> jitter(full.count() / 2, full.count());
    sleep_for(asked ? std::chrono::milliseconds(*asked) : std::chrono::milliseconds(jitter(random)), cancel);
}

}  // namespace locald::registry
