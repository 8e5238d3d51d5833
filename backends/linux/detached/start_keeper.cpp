#include "backends/linux/detached/start_keeper.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "backends/remote/local_socket.hpp"
#include "backends/remote/remote_runtime.hpp"
#include "core/base/error.hpp"
#include "core/host/child_process.hpp"
#include "core/host/pipe.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;

// Both are processes of one host, where the end of the link is the end of the other: silence means nothing.
constexpr AgentTiming timing{30s, 60s, 1h, 24h};
constexpr const char* name = "its keeper";

}  // namespace

std::vector<std::string> keeper_words(const runtime::RuntimeChoice& choice) {
    return {choice.data_directory, choice.runtime_directory, choice.shim, choice.worker};
}

runtime::RuntimeChoice parse_keeper_words(const std::vector<std::string>& words) {
    if (words.size() != 4) {
        throw Error(ErrorKind::invalid, "keeper: expected four words")
            .with_remedy("it is started by `locald container run -d`, not by people");
    }
    runtime::RuntimeChoice choice;
    choice.data_directory = words[0];
    choice.runtime_directory = words[1];
    choice.shim = words[2];
    choice.worker = words[3];
    return choice;
}

std::unique_ptr<runtime::ContainerRuntime> start_keeper(const std::string& program,
                                                        const runtime::RuntimeChoice& choice) {
    return make_remote_runtime([program, choice] {
        const auto ends = host::make_socket_pair();
        posix::UniqueFd ours(ends[0]);
        posix::UniqueFd theirs(ends[1]);
        host::ChildOptions options;
        options.argv = {program, "keeper"};
        for (auto& word : keeper_words(choice)) options.argv.push_back(std::move(word));
        options.env = host::current_environment();
        options.handles = {{theirs.get(), keeper_link}};
        options.new_session = true;
        host::Child child = host::Child::start(options);
        theirs.reset();  // so that the keeper's end is the link's
        if (const auto status = child.wait(); !status.ok()) {
            throw Error(ErrorKind::lost,
                        "start a keeper: " + program + " ended with status " + std::to_string(status.exit_code()));
        }
        const int link = ours.release();
        return std::make_shared<AgentClient>(link, link, name, timing);
    });
}

std::unique_ptr<runtime::ContainerRuntime> reach_keeper(const std::string& socket) {
    return make_remote_runtime([socket] {
        const int link = reach_listener(socket);
        return std::make_shared<AgentClient>(link, link, name, timing);
    });
}

}  // namespace locald::backends
