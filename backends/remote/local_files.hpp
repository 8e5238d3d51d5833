#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/host/handle.hpp"

namespace locald::backends {

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
        host::Handle handle;
        std::uint64_t size = 0;
    };
    const File& file(const std::string& name);
    host::Handle open_below(const std::string& name) const;

    const std::string path_;
    host::Handle top_;
    std::optional<std::uint64_t> size_;
    std::optional<File> last_;  ///< the one that was asked for last
};

}  // namespace locald::backends
