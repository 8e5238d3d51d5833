#pragma once

#include <functional>
#include <string>

#include "core/runtime/host_setup.hpp"

namespace locald::backends::admin {

/// One pass over all that setup sees to. The same code looks, promises and does, so that a dry run and `status` cannot
/// tell another story than setup.
class Work {
public:
    enum class Deed { act, promise, look };

    Work(runtime::SetupOptions options, Deed deed, runtime::SetupSink sink)
        : options_(std::move(options)), deed_(deed), sink_(std::move(sink)) {}

    const runtime::SetupOptions& options() const noexcept { return options_; }
    bool acts() const noexcept { return deed_ == Deed::act; }
    bool looks() const noexcept { return deed_ == Deed::look; }
    /// Where the shim is installed.
    std::string base() const { return options_.prefix + "/libexec/locald"; }

    /// How a thing is put into words.
    struct Words {
        std::string is;    ///< as it should be: "X is a tmpfs"
        std::string lack;  ///< as `status` finds it when it is not: "X is no tmpfs"
    };
    /// Sees to one thing: `change` is called where it is not as it should be and this pass acts.
    void see_to(const std::string& id, bool is_so, const Words& words, const std::string& undo,
                const std::function<void()>& change) const;
    /// The same for a thing that is to go: "X" is not there, is removed, or would be.
    void see_away(const std::string& id, bool is_away, const std::string& thing, const std::string& undo,
                  const std::function<void()>& change) const;
    /// Something for people to know, or to type.
    void note(const std::string& id, const std::string& what, const std::string& type = {}) const;
    /// Something that is not as it should be and that no setup changes.
    void wrong(const std::string& id, const std::string& what, const std::string& type = {}) const;

private:
    /// A command `locald admin …` is for the place that this pass is about.
    std::string with_prefix(std::string type) const;

    runtime::SetupOptions options_;
    Deed deed_;
    runtime::SetupSink sink_;
};

}  // namespace locald::backends::admin
