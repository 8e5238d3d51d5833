#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "backends/linux/detached/log_reader.hpp"
#include "backends/linux/detached/log_writer.hpp"

namespace locald::backends {

/// Takes the output of one container and gives it to its log and to all who follow it, each at his own speed. The last
/// of it is kept in memory, so that whoever follows closely does so also on a full disk.
class OutputHub {
public:
    explicit OutputHub(std::string directory) : directory_(std::move(directory)), log_(directory_) {}

    /// From one thread.
    void append(OutputStream stream, std::string_view bytes);
    /// No more comes.
    void finish();
    /// How many bytes came so far.
    std::uint64_t end() const;

    /// One who reads along, from one thread.
    class Follower {
    public:
        Follower(OutputHub& hub, std::uint64_t from) : hub_(hub), position_(from) {}
        /// Waits for the next piece. Nothing at the end of all output, or after stop().
        std::optional<LogPiece> next();
        /// From any thread.
        void stop();

    private:
        std::optional<LogPiece> from_log(std::uint64_t memory_begins);

        OutputHub& hub_;
        std::uint64_t position_;
        std::uint64_t lost_ = 0;
        std::unique_ptr<LogReader> reader_;
        std::atomic<bool> stopped_ = false;
    };

private:
    const std::string directory_;
    LogWriter log_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<LogPiece> memory_;
    std::size_t in_memory_ = 0;
    std::uint64_t end_ = 0;
    bool finished_ = false;
};

}  // namespace locald::backends
