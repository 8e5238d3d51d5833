#pragma once

#include <libssh2.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "backends/ssh/session.hpp"

namespace locald::backends {

/// What the asking thread and the engine know of a channel.
struct SshChannel::Shared {
    std::mutex mutex;
    std::condition_variable changed;
    bool opened = false, closed = false;
    std::optional<Error> error;  ///< it could not be opened
    RemoteExit exit;
};

/// The thread that alone calls libssh2 once the login is done. It moves bytes between channels and sockets of ours.
///
/// A call that returned EAGAIN may have sent half a packet; until it is repeated, no other call may send
/// (LIBSSH2_ERROR_BAD_USE in 1.10). So the channel whose call that was goes first and alone until it is through.
class SshEngine {
public:
    SshEngine(LIBSSH2_SESSION* session, int socket, std::string name);
    ~SshEngine();
    SshEngine(const SshEngine&) = delete;
    SshEngine& operator=(const SshEngine&) = delete;

    struct Wish {
        std::string command;  ///< exec; else
        std::string host;     ///< direct-tcpip
        int port = 0;
        int local = -1;  ///< the engine's end of the socket pair
        std::shared_ptr<SshChannel::Shared> shared;
        bool forwarded = false;  ///< `local` is a stranger's: its words are waited for in the end
    };
    void open(Wish wish);
    bool lost() const noexcept { return lost_; }
    /// Whether something may still come from the other side for a forwarded socket, or waits to be taken by it.
    bool talks() const noexcept { return wished_ != looked_ || talks_; }
    /// Bytes so far, of all channels, to our side.
    std::uint64_t moved() const noexcept { return moved_; }

private:
    struct Channel;

    void loop();
    void take_wishes();
    void wait();
    /// Each of these does what can be done now. @return whether something was done
    bool advance(Channel& channel);
    bool open(Channel& channel);
    bool start(Channel& channel);
    bool send(Channel& channel);
    bool receive(Channel& channel);
    bool receive_err(Channel& channel);
    bool finish(Channel& channel);
    bool read_local(Channel& channel);
    bool write_local(Channel& channel);
    void end(Channel& channel);
    void fail(Channel& channel, const std::string& what);
    /// After a call that returned `result`: whether it must be repeated before anything else is sent.
    void note(Channel& channel, long result);
    bool is_fatal(long result) const noexcept;
    void lose(const std::string& why);
    std::string last_words() const;
    void wake() noexcept;

    LIBSSH2_SESSION* session_;
    int socket_;
    std::string name_;
    int wake_read_ = -1, wake_write_ = -1;
    std::atomic<bool> lost_ = false, talks_ = false;
    std::atomic<std::uint64_t> moved_ = 0, wished_ = 0, looked_ = 0;

    std::mutex mutex_;
    std::deque<Wish> wishes_;
    bool stop_ = false;

    // Of the thread alone.
    std::list<Channel> channels_;
    std::vector<char> block_;     ///< what is being read
    std::uint64_t taken_ = 0;     ///< wishes
    Channel* first_ = nullptr;    ///< the one whose call sent half a packet
    Channel* opening_ = nullptr;  ///< libssh2 opens one at a time
    std::thread thread_;
};

}  // namespace locald::backends
