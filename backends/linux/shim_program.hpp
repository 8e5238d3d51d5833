#pragma once

#include <string>
#include <vector>

#include "core/host/child_process.hpp"
#include "core/posix/unique_fd.hpp"

namespace locald::backends {

/// Where the programs are that this backend starts: beside our own program, then the install place; never PATH.
struct Programs {
    std::string shim;
    std::string worker;  ///< `locald`, for its hidden verb that unpacks
};

/// @param shim, worker  given places that are taken as they are; empty ones are looked up
/// @throws Error(not_found) that lists the places looked at
std::string find_program(const std::string& name, const std::string& given);

/// What tells a file from another and from its own later versions: one line.
std::string file_identity(const std::string& path);
/// A small file with an answer that may be asked for again; empty when there is none.
std::string read_cache(const std::string& path);
void write_cache(const std::string& path, const std::string& text);

/// Starts locald-shim. Every call of it goes through here.
class Shim {
public:
    /// @param root  the state directory (`--root`)
    Shim(std::string program, std::string root) : program_(std::move(program)), root_(std::move(root)) {}

    const std::string& program() const noexcept { return program_; }
    const std::string& root() const noexcept { return root_; }

    /// Compares `--shim-version` with our own version, once for a program file: the answer is kept in `cache_file` with
    /// the file's identity, so that a warm start executes nothing for it.
    /// @throws Error that names both versions, the path and the remedy
    void check_version(const std::string& cache_file) const;
    /// The same without the cache.
    void ask_version() const;

    /// A user namespace with the caller's ids, made by a setuid shim (`userns`).
    /// @throws Error with the shim's own line when it fails
    posix::UniqueFd make_user_namespace(bool keep_id) const;

    /// `locald-shim --root ROOT words…` to its end. @throws Error with the shim's own line when it fails
    std::string run(const std::vector<std::string>& words) const;
    /// The same without an error: for clean-up.
    host::Captured try_run(const std::vector<std::string>& words) const;

    /// The options of a start whose streams and handles the caller adds.
    host::ChildOptions command(const std::vector<std::string>& words) const;

private:
    std::string program_;
    std::string root_;
};

}  // namespace locald::backends
