#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/host/child_process.hpp"
#include "core/host/terminal.hpp"

namespace locald::runtime {

/// How a container is kept that is in nobody's foreground.
struct DetachOptions {
    bool open_stdin = false;  ///< its stdin stays open for whoever attaches; else it is empty
    bool remove = false;      ///< its record and log go at its end
};

struct DetachedStart {
    std::string id;
    std::vector<std::string> warnings;  ///< for people: what was lost or ignored while the bundle was made
};

/// What is known of a container, running or not.
struct ContainerInfo {
    enum class Status {
        created,  ///< its image is being fetched, or its program is not yet executed
        running,
        exited,
        lost,  ///< whoever kept it was killed, and it died with him: its exit status is not known
    };
    std::string id, image;
    std::vector<std::string> command;     ///< as the user gave it; empty: the image's own
    std::string created, started, ended;  ///< RFC 3339 in UTC; empty when it has not come to that
    Status status = Status::created;
    host::ExitStatus exit;  ///< of an exited one
    int pid = 0;            ///< of its first process, while it runs
    bool detached = true;   ///< else it is in the foreground of some process of this user
    bool tty = false, open_stdin = false, remove = false;
};
std::string_view to_string(ContainerInfo::Status status) noexcept;

/// One more process in a container.
struct ExecOptions {
    std::vector<std::string> command;
    std::vector<std::pair<std::string, std::string>> env;  ///< over the container's own
    std::string workdir, user;                             ///< empty: the container's own
    bool tty = false;
    bool detach = false;  ///< nobody waits for it, and its streams are empty
};

/// A place in the output of a container, to go on from there with another connection.
struct OutputPlace {
    std::uint64_t position = 0;  ///< bytes of output, counted from the start
    std::uint64_t out = 0,
                  err = 0;  ///< bytes of each stream: those written up to there, or those had already from there
    std::uint64_t lines_to_skip = 0;  ///< before the first one that is shown
    unsigned lines = 0;               ///< which streams are within a line and whether it is shown; the log's own
};
using OutputMark = std::function<void(const OutputPlace&)>;

/// What of the output of a detached container is wanted.
struct LogOptions {
    bool follow = false;                       ///< go on until the container ends
    bool timestamps = false;                   ///< an RFC 3339 time in front of every line
    std::optional<std::uint64_t> tail;         ///< only so many lines from the end
    std::optional<std::int64_t> since, until;  ///< nanoseconds since 1970
    std::optional<OutputPlace> resume;         ///< go on from here; `tail` does not count then
    OutputMark mark;                           ///< told from time to time how far it is
};

/// Where in the output of a container an attachment begins.
struct AttachOptions {
    std::optional<std::uint64_t> from;  ///< bytes of output, counted from the start; empty: what comes from now on
    std::optional<OutputPlace> resume;  ///< go on from here instead
    OutputMark mark;                    ///< told from time to time how far it is
};

}  // namespace locald::runtime
