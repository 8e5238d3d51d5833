#pragma once

#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace locald {

/// What went wrong, as far as a caller may want to decide on it.
enum class ErrorKind {
    invalid,               ///< input that cannot be right: a field, a flag, an id
    not_found,             ///< the object does not exist
    exists,                ///< the object is already there
    denied,                ///< the kernel or a rule refused
    unsupported,           ///< this kernel, host or build cannot do it
    unsupported_platform,  ///< container execution is not possible on this platform or build
    unavailable,           ///< a service or peer is not there now
    lost,                  ///< the connection to whoever knows the answer is gone
    cancelled,             ///< the caller asked to stop
    corrupt,               ///< stored or received data is not what its digest or format says
    no_space,              ///< a disk, a quota or an inode table is full
    not_executable,        ///< the program exists and cannot be executed (exit code 126)
    command_not_found,     ///< the program does not exist (exit code 127)
    system,                ///< any other system call failure
};

/// The name of a kind as programs see it in JSON: `invalid`, `not_found`, …
std::string_view to_string(ErrorKind kind) noexcept;

/// The inverse of to_string; an unknown name is ErrorKind::system.
ErrorKind error_kind_from(std::string_view name) noexcept;

/// The one type this project throws.
///
/// `what()` is one line: the steps from the outside in, the kernel's own words, and the remedy after a semicolon:
/// `run web: mount proc on /proc: Operation not permitted; remedy: …`.
class Error : public std::runtime_error {
public:
    Error(ErrorKind kind, std::string message, int os_errno = 0);

    const char* what() const noexcept override { return line_.c_str(); }
    ErrorKind kind() const noexcept { return kind_; }
    /// The errno of the failed system call; 0 when none was involved.
    int os_errno() const noexcept { return errno_; }
    /// The line without the remedy.
    const std::string& message() const noexcept { return message_; }
    const std::string& remedy() const noexcept { return remedy_; }

    /// Puts the outer step in front: add_context("create web") makes `create web: …`.
    Error& add_context(std::string_view step);
    /// Sets what the reader can do about it; the innermost remedy wins, so a set one stays.
    Error& with_remedy(std::string remedy);

    /// One JSON object on one line: kind, message, and where they are known errno and remedy.
    std::string to_json() const;

private:
    void rebuild();

    ErrorKind kind_;
    int errno_;
    std::string message_;
    std::string remedy_;
    std::string line_;
};

/// The kind that an errno usually means.
ErrorKind kind_of_errno(int err) noexcept;

/// The kernel's words for `err`, as strerror has them.
std::string errno_text(int err);

/// The exit code of a command that failed with `error`: 126 not executable, 127 not found, else 125.
int exit_code_of(const Error& error) noexcept;

/// Throws an Error whose text is all of `part` joined, then the kernel's words. `err` is copied before any text is
/// built.
template <std::convertible_to<std::string_view>... Part>
[[noreturn]] void throw_errno(int err, const Part&... part) {
    std::string text;
    (text.append(std::string_view(part)), ...);
    throw Error(kind_of_errno(err), text + ": " + errno_text(err), err);
}

/// Runs `body`; an Error that leaves it gets `step` in front.
template <class F>
decltype(auto) in_step(std::string_view step, F&& body) {
    try {
        return std::forward<F>(body)();
    } catch (Error& e) {
        e.add_context(step);
        throw;
    }
}

}  // namespace locald
