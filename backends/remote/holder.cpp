#include "backends/remote/holder.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>

#include "backends/protocol/frame.hpp"
#include "backends/remote/local_socket.hpp"
#include "backends/remote/relay.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/host/child_process.hpp"
#include "core/host/directories.hpp"
#include "core/host/handle.hpp"
#include "core/host/lock.hpp"
#include "core/host/pipe.hpp"
#include "core/host/stream.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;

constexpr auto idle_most = 5min;
constexpr auto answer_most = 2s;
// Where a new holder finds the pipe that it reports on, and the lock that lets one be started at a time.
constexpr int report_number = 3;
constexpr int turn_number = 4;

/// Not a name that a container may have: its neighbours are states.
std::string directory() { return host::runtime_directory() + "/.hosts"; }

/// Where both directories are nobody else's: before that nothing in them is believed, as a link there would lead to the
/// holder of another host. @throws Error
void ensure_own_directory() {
    host::ensure_private_directory(host::runtime_directory());
    host::ensure_private_directory(directory());
}

/// FNV-1a: a name that fits into a socket's path; the holder's own word tells two hosts of one name apart.
std::string short_name(const std::string& host) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : host) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string name;
    for (unsigned shift = 60;; shift -= 4) {
        name += digits[(hash >> shift) & 15U];
        if (shift == 0) return name;
    }
}

std::string socket_of(const std::string& host) { return directory() + "/" + short_name(host); }

std::string lock_of(const std::string& socket) { return socket + ".lock"; }

/// The name of a socket that listens. It goes with its holder, unless it is another's by then.
class OwnName {
public:
    explicit OwnName(std::string path) : path_(std::move(path)) { known_ = ::lstat(path_.c_str(), &status_) == 0; }
    OwnName(const OwnName&) = delete;
    OwnName& operator=(const OwnName&) = delete;
    ~OwnName() { remove(); }
    /// @param in_turn  nobody else can be starting one
    void remove(bool in_turn = false) noexcept {
        if (!std::exchange(known_, false)) return;
        try {
            // Who has the lock replaces the name himself.
            std::optional<host::FileLock> turn;
            if (!in_turn) turn = host::FileLock::try_acquire(lock_of(path_));
            if (!in_turn && !turn) return;
            struct stat now {};
            if (::lstat(path_.c_str(), &now) == 0 && now.st_ino == status_.st_ino && now.st_dev == status_.st_dev)
                ::unlink(path_.c_str());
        } catch (const std::exception& e) {
            log(LogLevel::debug, "remove " + path_ + ": " + e.what());
        }
    }

private:
    std::string path_;
    struct stat status_ {};
    bool known_ = false;
};

std::shared_ptr<AgentClient> client_of(int socket, const std::string& host) {
    return std::make_shared<AgentClient>(socket, socket, without_query(host), protocol::timing_between_hosts());
}

/// Nothing where nobody listens, or somebody who is just ending.
std::shared_ptr<AgentClient> try_holder(const std::string& path, const std::string& host) {
    const auto socket = connect_to(path);
    if (!socket) return nullptr;
    try {
        auto client = client_of(*socket, host);
        const auto status = client->holder_status(protocol::timing_between_hosts().greeting);
        if (!status && client->lost()) return nullptr;
        if (!status)
            throw Error(ErrorKind::unavailable,
                        "connect to " + without_query(host) + ": the process that keeps the connection says nothing");
        if (const auto found = status->find("host"); found == status->end() || *found != host) {
            throw Error(ErrorKind::denied, "connect to " + without_query(host) + ": " + path + " leads to another host")
                .with_remedy(
                    "end the connections that are kept: locald host disconnect; or do without: LOCALD_HOLDER=no");
        }
        return client;
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::lost) throw;
        return nullptr;
    }
}

/// Needs no greeting, which one of another version gives otherwise. @return whether somebody heard it
bool tell_to_end(const std::string& path) {
    const host::Handle socket(connect_to(path).value_or(-1));
    if (!socket) return false;
    std::string bytes;
    protocol::append_frame(bytes, protocol::FrameType::control, 0, R"({"disconnect":true})");
    if (::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
        return false;
    ::shutdown(socket.get(), SHUT_WR);
    // Until it hangs up.
    std::array<char, 4096> rest{};
    while (::recv(socket.get(), rest.data(), rest.size(), 0) > 0) {
    }
    return true;
}

/// Starts one and waits until it listens. It keeps `turn` until then, even when this process is killed meanwhile.
/// @throws Error as it says it
void start_holder(const std::string& host, const std::string& program, const host::FileLock& turn) {
    const auto report = host::make_pipe();
    host::ChildOptions options;
    options.argv = {program, "host-holder", host};
    options.env = host::current_environment();
    options.cwd = "/";
    options.new_process_group = true;
    options.handles = {{report[1], report_number}, {turn.handle(), turn_number}};
    auto child = host::Child::start(options);
    ::close(report[1]);
    std::string said;
    host::read_to_end(report[0], [&](std::string_view bytes) { said += bytes; });
    ::close(report[0]);
    if (said == "ready") {
        child.release();
        return;
    }
    const auto status = child.wait();
    if (!said.empty()) throw protocol::read_error(protocol::parse(said));
    throw Error(ErrorKind::lost, "connect to " + without_query(host) +
                                     ": the process that keeps the connection ended with " +
                                     std::to_string(status.exit_code()) + " before it was ready");
}

}  // namespace

std::shared_ptr<AgentClient> connect_by_holder(const std::string& host, const std::string& program) {
    const auto path = socket_of(host);
    ensure_own_directory();
    if (auto client = try_holder(path, host)) return client;
    const auto turn = host::FileLock::acquire(lock_of(path));
    if (auto client = try_holder(path, host)) return client;  // somebody else was faster
    start_holder(host, program, turn);
    if (auto client = try_holder(path, host)) return client;
    throw Error(ErrorKind::lost,
                "connect to " + without_query(host) + ": the process that keeps the connection is gone again");
}

std::vector<Holder> list_holders() {
    std::vector<Holder> holders;
    std::error_code error;
    if (!std::filesystem::exists(directory(), error)) return holders;
    ensure_own_directory();
    for (const auto& entry : std::filesystem::directory_iterator(directory(), error)) {
        if (!entry.is_socket(error)) continue;
        const auto socket = connect_to(entry.path().string());
        if (!socket) {
            OwnName(entry.path().string()).remove();  // of one that was killed
            continue;
        }
        try {
            const auto client = client_of(*socket, entry.path().string());
            const auto status = client->holder_status(answer_most);
            if (!status) continue;
            Holder holder;
            holder.host = protocol::without_escapes(status->at("host").get<std::string>());
            holder.socket = entry.path().string();
            holder.pid = status->at("pid").get<int>();
            holder.clients = status->at("clients").get<unsigned>();
            holders.push_back(std::move(holder));
        } catch (const Error& e) {
            // One of before an update: whom it leads to it cannot say, but it can be ended.
            if (e.kind() == ErrorKind::unsupported)
                holders.push_back({"(another version of locald)", entry.path().string(), 0, 0});
            log(LogLevel::debug, "ask " + entry.path().string() + ": " + e.what());
        } catch (const std::exception& e) {
            log(LogLevel::debug, "ask " + entry.path().string() + ": " + e.what());
        }
    }
    return holders;
}

std::vector<Holder> end_holders(const std::string& host) {
    std::vector<Holder> ended;
    for (auto& holder : list_holders()) {
        if (!host.empty() && holder.host != host && holder.socket != socket_of(host)) continue;
        if (tell_to_end(holder.socket)) ended.push_back(std::move(holder));
    }
    return ended;
}

int hold(const std::string& host, const std::function<AgentLink()>& connect) {
    ::setsid();
    host::Handle told(report_number);
    host::Handle turn(turn_number);
    for (const auto& inherited : {&told, &turn}) ::fcntl(inherited->get(), F_SETFD, FD_CLOEXEC);
    std::signal(SIGPIPE, SIG_IGN);
    const auto path = socket_of(host);
    std::optional<OwnName> name;
    // Where whoever waited is gone, the next command takes what is here.
    const auto report = [&](std::string_view text) {
        try {
            if (told) host::write_all(told.get(), text);
        } catch (const Error& e) {
            log(LogLevel::debug, e.what());
        }
        told.reset();
    };
    try {
        const auto timing = protocol::timing_between_hosts();
        const auto link = connect();
        host::ensure_private_directory(directory());
        const int listener = listen_at(path);
        name.emplace(path);
        Relay relay(link.handle, listener, host, timing);
        if (const auto why = relay.wait_for_greeting(timing.greeting))
            throw link.explain ? link.explain(*why) : Error(*why);
        report("ready");
        turn.reset();
        relay.run(idle_most);
        return 0;
    } catch (const Error& e) {
        if (name) name->remove(static_cast<bool>(turn));
        report(protocol::dump(protocol::write_error(e)));
        return exit_code_of(e);
    }
}

}  // namespace locald::backends
