#include <grp.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/text.hpp"
#include "core/image/json_worker.hpp"
#include "core/image/json_worker_client.hpp"
#include "core/image/unpack.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"

namespace locald::image {

void WorkerReport::send(const nlohmann::json& event) {
    const std::string line = event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    const std::lock_guard hold(mutex_);
    std::string_view left = line;
    while (!left.empty()) {
        const ssize_t n = ::write(fd_, left.data(), left.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return;  // the caller is gone, and with it whoever would read
        left.remove_prefix(static_cast<std::size_t>(n));
    }
}

void WorkerReport::send_error(const Error& error) {
    auto event = nlohmann::json::parse(error.to_json());
    event["event"] = "error";
    send(event);
}

void enter_worker_rights(const nlohmann::json& plan) {
    if (plan.at("enter").get<bool>()) {
        if (::setns(worker_handle::user_namespace, CLONE_NEWUSER) != 0) throw_errno(errno, "enter the user namespace");
        // Denied in a namespace of a single id; the groups left are then the caller's own.
        if (::setgroups(0, nullptr) != 0 && errno != EPERM) throw_errno(errno, "setgroups");
        // EINVAL: nobody is 0 in here (`--userns keep-id` without ranges); all rights are held by the one id too.
        if (::setresgid(0, 0, 0) != 0 && errno != EINVAL) throw_errno(errno, "setresgid");
        if (::setresuid(0, 0, 0) != 0 && errno != EINVAL) throw_errno(errno, "setresuid");
    }
    // The change of rights cleared these two; /proc/self must be this process's own again for chmod by descriptor.
    if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) throw_errno(errno, "prctl PR_SET_DUMPABLE");
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) throw_errno(errno, "prctl PR_SET_PDEATHSIG");
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) throw_errno(errno, "prctl PR_SET_NO_NEW_PRIVS");
    if (::getppid() != plan.at("parent").get<pid_t>()) throw Error(ErrorKind::lost, "the caller is gone");
    ::umask(0);
}

void worker_remove(const nlohmann::json& plan, WorkerReport& /*report*/) {
    const auto path = plan.at("path").get<std::string>();
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos || slash + 1 == path.size()) {
        throw Error(ErrorKind::invalid, "remove " + path + ": no absolute path of an entry");
    }
    const auto parent = posix::open(slash == 0 ? "/" : path.substr(0, slash), O_RDONLY | O_DIRECTORY);
    enter_worker_rights(plan);
    posix::remove_tree_at(parent, path.substr(slash + 1));
}

int worker_main(const std::vector<std::string>& words) {
    ::signal(SIGPIPE, SIG_IGN);
    WorkerReport report(worker_handle::report);
    try {
        const posix::UniqueFd plan_file(worker_handle::plan);
        const auto plan = nlohmann::json::parse(posix::read_all(plan_file, "the plan"));
        const std::string verb = words.size() == 1 ? words.front() : "";
        if (verb == "unpack") {
            worker_unpack(plan, report);
        } else if (verb == "flatten") {
            worker_flatten(plan, report);
        } else if (verb == "remove") {
            worker_remove(plan, report);
        } else {
            throw Error(ErrorKind::invalid, "the storage worker is started by locald itself, with one word");
        }
        return 0;
    } catch (const Error& e) {
        report.send_error(e);
    } catch (const std::exception& e) {
        report.send_error(Error(ErrorKind::system, std::string("storage worker: ") + e.what()));
    }
    return 1;
}

}  // namespace locald::image
