#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/syscalls.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/container/state.hpp"
#include "shim/process/process_table.hpp"
#include "shim/verbs/verbs.hpp"

namespace locald::shim {

namespace {

/// What the host's ps prints.
std::string output_of_ps(std::vector<std::string> words) {
    words.insert(words.begin(), "ps");
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    auto pipe = posix::make_pipe();
    const pid_t pid = ::fork();
    if (pid < 0) throw_errno(errno, "start ps");
    if (pid == 0) {
        ::dup2(pipe.write.get(), STDOUT_FILENO);
        ::execvp("ps", argv.data());
        ::_exit(errno == ENOENT ? 127 : 126);
    }
    pipe.write.reset();
    std::string text = posix::read_all(pipe.read, "the output of ps");
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        throw Error(ErrorKind::command_not_found, "exec: \"ps\": executable file not found in $PATH")
            .with_remedy("install procps, or use --format json");
    }
    throw Error(ErrorKind::system,
                "ps: " + (WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status))
                                            : "killed by signal " + std::to_string(WTERMSIG(status))));
}

std::vector<pid_t> processes_of(const Record& record) {
    auto pids = Cgroup::from_paths(record.cgroups).processes();
    // Without a cgroup the first process is all we know for sure.
    if (pids.empty() && open_process(record)) pids.push_back(record.state.pid);
    std::sort(pids.begin(), pids.end());
    return pids;
}

int show_processes(const Globals& globals, Walker& walker) {
    walker.stop_at_argument();
    std::string format = "table";
    for (std::string name; walker.next_option(name);) {
        if (name != "-f" && name != "--format") walker.unknown();
        format = walker.value();
    }
    if (format != "table" && format != "json") walker.refuse("invalid format option");
    walker.need_at_least(1);
    const std::string& id = walker.arguments()[0];
    check_container_id(id);
    const StateDir dir = find_state(globals.root, id);
    const auto pids = processes_of(dir.read());
    if (format == "json") {
        std::string list;
        for (const pid_t pid : pids) list += (list.empty() ? "" : ",") + std::to_string(pid);
        print("[" + list + "]\n");
        return 0;
    }
    std::vector<std::string> words(walker.arguments().begin() + 1, walker.arguments().end());
    if (words.empty()) words.emplace_back("-ef");
    print(rows_of(output_of_ps(words), pids));
    return 0;
}

}  // namespace

std::string rows_of(const std::string& table, const std::vector<pid_t>& pids) {
    const auto words_of = [](std::string_view line) {
        std::vector<std::string_view> words;
        for (const auto word : split(line, ' ')) {
            if (!word.empty()) words.push_back(word);
        }
        return words;
    };
    std::string rows;
    std::optional<std::size_t> column;
    for (const auto line : split(table, '\n')) {
        const auto words = words_of(line);
        if (words.empty()) continue;
        if (!column) {
            const auto found = std::find(words.begin(), words.end(), "PID");
            if (found == words.end()) {
                throw Error(ErrorKind::invalid, "couldn't find PID field in ps output")
                    .with_remedy("give ps options that print a PID column, such as -ef");
            }
            column = static_cast<std::size_t>(found - words.begin());
        } else if (const auto pid = *column < words.size() ? parse_u64(words[*column]) : std::nullopt;
                   !pid || std::find(pids.begin(), pids.end(), static_cast<pid_t>(*pid)) == pids.end()) {
            continue;
        }
        rows.append(line).append("\n");
    }
    return rows;
}

const Verb ps_verb{"ps", "  ps [-f table|json] ID [PS-OPTION] show the container's processes\n",
                   "Usage: locald-shim [OPTION...] ps [-f|--format table|json] ID [PS-OPTION...]\n"
                   "\n"
                   "Shows the processes of the container: the lines of the host's ps (with PS-OPTION..., default -ef)\n"
                   "that are about them, or an array of their pids on the host.\n"
                   "  -f, --format FORMAT   table or json (default: table)\n",
                   show_processes};

}  // namespace locald::shim
