#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace locald::backends {

/// A descriptor, closed at its end.
class Handle {
public:
    explicit Handle(int number = -1) noexcept : number_(number) {}
    Handle(Handle&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Handle();
    int get() const noexcept { return number_; }
    explicit operator bool() const noexcept { return number_ >= 0; }

private:
    int number_;
};

/// What the user names here and another host may read: one file, or the files below one directory and nothing else.
class LocalFiles {
public:
    /// @throws Error as importing the same path here would
    explicit LocalFiles(const std::string& path);

    /// Of the one file; nothing for a directory.
    std::optional<std::uint64_t> size() const noexcept { return size_; }
    /// Of a regular file below the directory; nothing when there is none of that name.
    std::optional<std::uint64_t> size_of(const std::string& name);
    /// A handle of ours to read it by. @throws Error(not_found)
    int handle_of(const std::string& name);

private:
    struct File {
        std::string name;
        Handle handle;
        std::uint64_t size = 0;
    };
    const File& file(const std::string& name);
    Handle open_below(const std::string& name) const;

    const std::string path_;
    Handle top_;
    std::optional<std::uint64_t> size_;
    std::optional<File> last_;  ///< the one that was asked for last
};

}  // namespace locald::backends
