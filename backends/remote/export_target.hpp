#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace locald::backends {

/// Where an export from another host goes here: the same places, with the same errors, as an export of this host's.
class ExportTarget {
public:
    virtual ~ExportTarget() = default;
    virtual bool is_directory() const noexcept { return false; }
    /// Makes it. Until finish() it counts as nothing: what there is of it goes with the object.
    virtual void begin() = 0;
    /// The next file of a directory. @throws Error(corrupt) for a name that no layout has
    virtual void file(const std::string& name) = 0;
    virtual void write(std::string_view bytes) = 0;
    virtual void finish() = 0;
};

/// @param path  a tar to write, a directory when it ends in `/`, or `-` for stdout
std::unique_ptr<ExportTarget> make_export_target(const std::string& path);

}  // namespace locald::backends
