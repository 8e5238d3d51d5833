#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/host/lock.hpp"
#include "core/runtime/detached.hpp"

namespace locald::backends {

/// What a keeper writes of its container.
struct Record {
    runtime::ContainerInfo info;  ///< as it was at the start
    std::string
        state_directory;  ///< where the shim keeps its state (`--root`), which may differ from session to session
    std::string socket;   ///< of the keeper
};

/// What it writes at the end.
struct EndRecord {
    host::ExitStatus status;
    std::string ended;
    std::uint64_t output = 0;    ///< bytes of it
    std::optional<Error> error;  ///< why the status is not known
};

/// A record that this process made. While it has the lock, the container is in its hands.
class OwnRecord {
public:
    OwnRecord(std::string path, host::FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
    const std::string& path() const noexcept { return path_; }
    OwnRecord moved_to(std::string path) && { return {std::move(path), std::move(lock_)}; }
    void write(const Record& record) const;
    /// Written into space that was taken at the start: it succeeds also on a full disk.
    void write_end(const EndRecord& end) const;

private:
    std::string path_;
    host::FileLock lock_;
};

/// The records of this user's detached containers below the store: `detached/<id>/` with `record.json`, `exit.json`,
/// `lock` and the log.
class Records {
public:
    explicit Records(const std::string& data_directory);

    std::string path_of(const std::string& id) const;
    std::vector<std::string> ids() const;
    /// Nothing when there is none.
    std::optional<Record> find(const std::string& id) const;
    std::optional<EndRecord> find_end(const std::string& id) const;
    /// The record with what has become of the container.
    std::optional<Record> look(const std::string& id) const;
    /// Whether somebody keeps it now.
    bool is_kept(const std::string& id) const;

    /// @throws Error(exists) when there is one
    void check_free(const std::string& id) const;
    /// Appears at once, with its lock held. @throws Error(exists)
    OwnRecord create(const std::string& id, const Record& record) const;
    void remove(const std::string& id) const;

private:
    void sweep() const;

    std::string directory_;
};

}  // namespace locald::backends
