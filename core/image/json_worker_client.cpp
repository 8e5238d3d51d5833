#include "core/image/json_worker_client.hpp"

#include <nlohmann/json.hpp>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "core/base/error.hpp"
#include "core/host/child_process.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

namespace {

constexpr int poll_milliseconds = 50;
constexpr std::size_t longest_line = 1U << 20U;

[[noreturn]] void throw_worker_error(const nlohmann::json& event) {
    Error error(error_kind_from(event.value("kind", "system")), event.value("message", "the storage worker failed"),
                event.value("errno", 0));
    if (const auto remedy = event.value("remedy", ""); !remedy.empty()) error.with_remedy(remedy);
    throw error;
}

void handle_line(std::string_view line, const std::function<void(const nlohmann::json&)>& on_event) {
    const auto event = nlohmann::json::parse(line, nullptr, false);
    if (!event.is_object()) throw Error(ErrorKind::system, "the storage worker said what is no JSON object");
    if (event.value("event", "") == "error") throw_worker_error(event);
    if (on_event) on_event(event);
}

void read_events(const posix::UniqueFd& report, const std::function<void(const nlohmann::json&)>& on_event,
                 const CancelToken& cancel) {
    std::string pending;
    std::array<char, 16384> block{};
    for (;;) {
        cancel.check();
        pollfd wait{report.get(), POLLIN, 0};
        if (::poll(&wait, 1, poll_milliseconds) <= 0) continue;
        const ssize_t n = ::read(report.get(), block.data(), block.size());
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) throw_errno(errno, "read the storage worker's report");
        if (n == 0) return;
        pending.append(block.data(), static_cast<std::size_t>(n));
        std::size_t start = 0;
        for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n', start)) {
            handle_line(std::string_view(pending).substr(start, end - start), on_event);
            start = end + 1;
        }
        pending.erase(0, start);
        if (pending.size() > longest_line)
            throw Error(ErrorKind::system, "the storage worker's report has no line end");
    }
}

}  // namespace

void run_worker(UnpackContext& context, const std::string& verb, nlohmann::json plan, const std::vector<int>& locks,
                const std::function<void(const nlohmann::json&)>& on_event, const CancelToken& cancel) {
    if (context.worker.argv.empty()) throw Error(ErrorKind::invalid, "no storage worker is set");
    if (context.maps && !context.user_namespace) {
        context.user_namespace = context.make_user_namespace ? context.make_user_namespace(*context.maps)
                                                             : posix::make_user_namespace(*context.maps);
    }
    plan["enter"] = context.maps.has_value();
    plan["parent"] = ::getpid();
    const posix::UniqueFd plan_file = posix::memfd_create("plan");
    posix::write_all(plan_file, plan.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), "plan");
    if (::lseek(plan_file.get(), 0, SEEK_SET) != 0) throw_errno(errno, "seek in the plan");

    auto report = posix::make_pipe();
    host::ChildOptions options;
    options.argv = context.worker.argv;
    options.argv.push_back(verb);
    // The worker needs nothing of the environment but what lets its own file start.
    if (const char* libraries = std::getenv("LD_LIBRARY_PATH")) {
        options.env.push_back(std::string("LD_LIBRARY_PATH=") + libraries);
    }
    options.cwd = "/";
    options.handles = {{plan_file.get(), worker_handle::plan}, {2, 2}, {report.write.get(), worker_handle::report}};
    if (context.maps) options.handles.push_back({context.user_namespace.get(), worker_handle::user_namespace});
    int number = worker_handle::first_lock;
    for (const int lock : locks) options.handles.push_back({lock, number++});
    options.new_process_group = true;
    host::Child child = host::Child::start(options);
    report.write.reset();
    read_events(report.read, on_event, cancel);
    const auto status = child.wait();
    if (status.ok()) return;
    throw Error(ErrorKind::system, status.signal != 0
                                       ? "the storage worker was killed by signal " + std::to_string(status.signal)
                                       : "the storage worker failed with exit code " + std::to_string(status.code))
        .with_remedy("see its words on stderr; when it was killed for want of memory, free some and retry");
}

}  // namespace locald::image
