#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "shim/cgroup/oom_watch.hpp"
#include "shim/cgroup/stats.hpp"
#include "shim/container/state.hpp"
#include "shim/options/duration.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

using Clock = std::chrono::steady_clock;

void print_stats(const Record& record) {
    CgroupStats stats = read_stats(record.cgroups);
    try {
        stats.interfaces = parse_interfaces(posix::read_file("/proc/" + std::to_string(record.state.pid) + "/net/dev"));
    } catch (const Error&) {
        // It ended, or its network is not ours to see.
    }
    print("{\"type\":\"stats\",\"id\":" + json_quote(record.state.id) + ",\"data\":" + to_json(stats) + "}\n");
}

/// Prints until the container's first process has ended.
void follow(const Record& record, const posix::UniqueFd& process, std::chrono::nanoseconds interval) {
    OomWatch oom(record.cgroups);
    auto next = Clock::now() + interval;
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
        std::array<pollfd, 2> watched{pollfd{process.get(), POLLIN, 0}, pollfd{oom.fd(), oom.events(), 0}};
        const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(std::clamp<long>(left, 0, 1 << 30)));
        if (ready < 0 && errno != EINTR) throw_errno(errno, "poll");
        for (auto kills = oom.look(); kills > 0; --kills) {
            print("{\"type\":\"oom\",\"id\":" + json_quote(record.state.id) + "}\n");
        }
        if (watched[0].revents != 0) return;
        if (Clock::now() < next) continue;
        print_stats(record);
        next = std::max(next + interval, Clock::now());
    }
}

int show_events(const Globals& globals, Walker& walker) {
    bool stats = false;
    std::chrono::nanoseconds interval = std::chrono::seconds(5);
    for (std::string name; walker.next_option(name);) {
        if (name == "--stats") {
            stats = walker.flag();
        } else if (name == "--interval") {
            const std::string text = walker.value();
            const auto parsed = parse_duration(text);
            if (!parsed)
                walker.refuse("option --interval: expected a time such as 5s or 1m30s, got " + json_quote(text));
            interval = *parsed;
        } else {
            walker.unknown();
        }
    }
    walker.need_exactly(1);
    const std::string& id = walker.arguments()[0];
    check_container_id(id);
    StateDir dir = find_state(globals.root, id);
    if (interval.count() <= 0) walker.refuse("duration interval must be greater than 0");
    const Record record = dir.read();
    const posix::UniqueFd process = open_process(record);
    if (!process) throw Error(ErrorKind::invalid, "container with id " + id + " is not running");
    if (stats) {
        print_stats(record);
    } else {
        follow(record, process, interval);
    }
    return 0;
}

}  // namespace

const Verb events_verb{
    "events", "  events [--stats] [--interval TIME] ID  print statistics and out-of-memory kills as lines of JSON\n",
    "Usage: locald-shim [OPTION...] events [--stats] [--interval TIME] ID\n"
    "\n"
    "Prints one JSON object a line, of type stats once every interval and of type oom whenever the kernel killed a\n"
    "process of the container for memory, until the container ends.\n"
    "What no cgroup of the container's counts is left out: where memory is on cgroup version 1, it joins one only for\n"
    "a memory limit.\n"
    "  --interval TIME   such as 5s or 1m30s (default: 5s)\n"
    "  --stats           print the statistics of now and exit\n",
    show_events};

}  // namespace locald::shim
