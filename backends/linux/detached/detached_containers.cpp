#include "backends/linux/detached/detached_containers.hpp"

#include <unistd.h>

#include <csignal>
#include <thread>

#include "backends/linux/container_dir.hpp"
#include "backends/linux/detached/log_printer.hpp"
#include "backends/linux/detached/log_reader.hpp"
#include "backends/linux/detached/mark_pace.hpp"
#include "backends/linux/detached/start_keeper.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using Status = runtime::ContainerInfo::Status;

// A keeper that does not listen is beginning or ending.
constexpr auto look_again = 10ms;

Error no_status(const std::string& id) {
    return Error(ErrorKind::lost,
                 "wait for container " + id + ": the process that kept it was killed, so the exit status is not known")
        .with_remedy("locald container rm " + id);
}

}  // namespace

DetachedContainers::DetachedContainers(runtime::RuntimeChoice choice, Environment& env)
    : choice_(std::move(choice)), env_(env) {}

const Records& DetachedContainers::records() {
    const std::lock_guard lock(mutex_);
    if (!records_) records_.emplace(env_.data_directory());
    return *records_;
}

runtime::DetachedStart DetachedContainers::run(const bundle::Source& source, const bundle::RunOptions& options,
                                               const runtime::DetachOptions& how, const ProgressSink& progress,
                                               const CancelToken& cancel) {
    if (!options.id.empty()) check_container_id(options.id);
    auto choice = choice_;
    choice.data_directory = env_.data_directory();
    choice.runtime_directory = env_.runtime_directory();
    const auto keeper = start_keeper(find_program("locald", choice_.worker), choice);
    return keeper->run_detached(source, options, how, progress, cancel);
}

std::vector<runtime::ContainerInfo> DetachedContainers::all() {
    std::vector<runtime::ContainerInfo> found;
    for (const auto& id : records().ids()) {
        try {
            if (auto record = records().look(id)) found.push_back(std::move(record->info));
        } catch (const Error& e) {
            log(LogLevel::warning, e.what());
            auto& broken = found.emplace_back();
            broken.id = id;
            broken.status = Status::lost;
        }
    }
    return found;
}

Record DetachedContainers::get(const std::string& id) {
    auto record = records().look(id);
    if (!record) throw Error(ErrorKind::not_found, "no such detached container: " + id);
    return std::move(*record);
}

std::optional<runtime::ExitStatus> DetachedContainers::known_end(const std::string& id) {
    const bool kept = records().is_kept(id);
    const auto end = records().find_end(id);
    if (!end) {
        if (kept) return std::nullopt;
        if (!records().find(id)) throw Error(ErrorKind::not_found, "no such detached container: " + id);
        throw no_status(id);
    }
    if (end->error) throw Error(*end->error);
    return end->status;
}

runtime::ExitStatus DetachedContainers::await_end(const std::string& id, const CancelToken& cancel) {
    for (;;) {
        if (const auto status = known_end(id)) return *status;
        cancel.check();
        std::this_thread::sleep_for(look_again);
    }
}

runtime::ExitStatus DetachedContainers::wait(const std::string& id, const CancelToken& cancel) {
    const auto record = get(id);
    if (const auto status = known_end(id)) return *status;
    try {
        return reach_keeper(record.socket)->wait(id, cancel);
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::unavailable && e.kind() != ErrorKind::lost) throw;
    }
    // The record says which: it has just ended, or its keeper was killed.
    return await_end(id, cancel);
}

void DetachedContainers::stop(const std::string& id, std::chrono::milliseconds grace) {
    const auto record = get(id);
    if (record.info.status == Status::exited || record.info.status == Status::lost) return;
    try {
        reach_keeper(record.socket)->stop(id, grace);
        return;
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::unavailable && e.kind() != ErrorKind::lost) throw;
    }
    try {
        await_end(id, {});
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::lost && e.kind() != ErrorKind::not_found) throw;  // it has ended, somehow
    }
}

void DetachedContainers::remove(const std::string& id, bool force) {
    const auto record = get(id);
    if (record.info.status == Status::running || record.info.status == Status::created) {
        if (!force) {
            throw Error(ErrorKind::invalid, "remove container " + id + ": it is running")
                .with_remedy("stop it before, or force it: locald container rm -f " + id);
        }
        stop(id, 0ms);
    }
    env_.sweep();  // what a killed keeper left of the container itself
    ::unlink(record.socket.c_str());
    records().remove(id);
}

std::unique_ptr<runtime::ContainerHandle> DetachedContainers::attach(const std::string& id,
                                                                     const runtime::AttachOptions& how,
                                                                     const runtime::Stdio& stdio) {
    const auto record = get(id);
    return in_step("attach to container " + id, [&] {
        if (record.info.status != Status::running) throw Error(ErrorKind::invalid, "it is not running");
        return reach_keeper(record.socket)->attach(id, how, stdio);
    });
}

void DetachedContainers::logs(const std::string& id, const runtime::LogOptions& options, int out, int err,
                              const CancelToken& cancel) {
    const std::string path = records().path_of(id);
    LogPrinter printer(options, out, err);
    if (options.tail && !options.resume) {
        LogReader all(path, 0);
        for (;;) {
            const auto piece = all.next();
            if (!piece) break;
            printer.count(*piece);
        }
    }
    LogReader reader(path, options.resume ? options.resume->position : 0);
    MarkPace pace;
    const auto mark = [&] {
        const auto place = options.mark ? printer.place(reader.position()) : std::nullopt;
        if (place && pace.is_due(place->position)) options.mark(*place);
    };
    printer.begin();
    mark();
    for (;;) {
        // Asked for first: what came before the end is there to read then.
        const bool kept = records().is_kept(id);
        const auto end = records().find_end(id);
        for (;;) {
            const auto piece = reader.next();
            if (!piece) break;
            printer.print(*piece);
            mark();
            cancel.check();
        }
        if (end && end->output > reader.position()) printer.tell_lost(end->output - reader.position());
        if (!options.follow || !kept || end) return;
        cancel.check();
        std::this_thread::sleep_for(look_again);
    }
}

}  // namespace locald::backends
