#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.hpp"

namespace locald::backends {

/// The key that a server showed.
struct HostKey {
    std::string type;         ///< ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256, …
    std::string blob;         ///< as it goes over the wire
    std::string fingerprint;  ///< SHA256:… as OpenSSH prints it
};

/// Who logs in and how.
struct Login {
    std::string user;
    /// Private keys, tried in this order; those that are not there are skipped.
    std::vector<std::string> identity_files;
    std::string agent;  ///< ssh-agent before them, by its socket's path or `$NAME` of a variable; empty: not at all
    bool agent_keys_of_files = false;  ///< of its keys those alone whose public half is an identity file, or beside one
    /// Key types to ask the server for, best first; empty: whatever both know.
    std::vector<std::string> host_key_types;
    /// Decides about the server. @throws Error when it is not the right one
    std::function<void(const HostKey&)> check_host_key;
};

/// How a command of the other side ended. Not told at all (`known` is false) when the connection was lost.
struct RemoteExit {
    bool known = false;
    int code = 0;
    std::string signal;  ///< without SIG; empty when it ended by itself
    std::string err;     ///< the end of what it said on stderr
};

/// A channel: our end of its bytes, and how it ended.
class SshChannel {
public:
    SshChannel();
    ~SshChannel();
    SshChannel(SshChannel&&) noexcept;
    SshChannel& operator=(SshChannel&&) noexcept;
    /// A socket; closing or shutting it down says so to the other side.
    int handle() const noexcept;
    /// Gives the socket up to the caller.
    int release() noexcept;
    /// Waits until the other side has closed the channel. @return nothing after `most`
    std::optional<RemoteExit> wait(std::chrono::milliseconds most);

private:
    friend class SshSession;
    friend class SshEngine;
    struct Shared;
    std::shared_ptr<Shared> shared_;
    int handle_ = -1;
};

/// One SSH connection by libssh2, which is used by one thread of this class alone. Thread-safe.
class SshSession {
public:
    /// Shakes hands and logs in over a connected socket, which it takes over.
    /// @param name  the host for error texts
    /// @throws Error that names the stage: greeting, key exchange, host key, authentication
    SshSession(int socket, const std::string& name, const Login& login, std::chrono::milliseconds most);
    ~SshSession();
    SshSession(const SshSession&) = delete;
    SshSession& operator=(const SshSession&) = delete;

    /// Runs a command by the user's shell there. @throws Error(lost), Error(denied) when the server refuses
    SshChannel exec(const std::string& command, std::chrono::milliseconds most = std::chrono::seconds(20));
    /// A connection from there to a host and port.
    SshChannel connect(const std::string& host, unsigned port,
                       std::chrono::milliseconds most = std::chrono::seconds(20));
    /// The bytes of `socket`, which it takes over, go to a host and port from there, in both directions and with the
    /// end of each. Returns at once; where there is no way, the socket is reset.
    void forward(int socket, const std::string& host, unsigned port);
    /// Waits until all that came for forwarded sockets was handed to them, as long as some of it moves every so often.
    void finish_forwards(std::chrono::milliseconds silence_most);
    /// exec, `input` to its stdin, all of its stdout. @throws also when it takes longer or prints more than 1 MiB
    struct Captured {
        RemoteExit exit;
        std::string out;
    };
    Captured capture(const std::string& command, std::string_view input = {},
                     std::chrono::milliseconds most = std::chrono::seconds(20));
    bool lost() const noexcept;
    /// What was agreed on: `curve25519-sha256 ssh-ed25519 aes128-ctr hmac-sha2-256`.
    std::string methods() const;

private:
    SshChannel open(const std::string& command, const std::string& host, unsigned port, std::chrono::milliseconds most);

    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// `text` as one word of a POSIX shell. @throws Error(invalid) when it holds a NUL or a line end
std::string shell_word(std::string_view text);

}  // namespace locald::backends
