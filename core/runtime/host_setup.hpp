#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace locald::runtime {

/// What `admin setup` was asked for.
struct SetupOptions {
    std::string prefix = "/usr/local";  ///< the shim goes to `prefix`/libexec/locald
    std::string group;                  ///< who may execute it; empty: everybody, or the group of the one that is there
    std::string max_user_namespaces;    ///< a number to set user.max_user_namespaces to; empty: it stays
    bool write_subids = false;          ///< write the lines that a directory user lacks, instead of naming them
    bool dry_run = false;
};

/// One thing that setup sees to, and how it stands.
struct SetupStep {
    enum class State {
        good,     ///< it is as it should be
        done,     ///< it was changed now
        would,    ///< it would be changed (a dry run)
        missing,  ///< it is not as it should be (status)
        wrong,    ///< it is not as it should be, and not setup's to change: somebody has to see to it by hand
        note      ///< for people to know or to do: nothing that setup does
    };
    std::string id;  ///< stable: `shim.installed`, `cgroup.tree`, …
    State state = State::good;
    std::string what;
    std::string undo;  ///< how to take it back, or what to type; may be empty
};
std::string_view to_string(SetupStep::State state) noexcept;

/// Is told of every step at once, so that what was done is known also when a later one fails.
using SetupSink = std::function<void(const SetupStep&)>;

/// What root does once for a host, so that its users need no root.
class HostSetup {
public:
    virtual ~HostSetup() = default;
    /// @throws Error(denied) unless root asks; Error at the first step that cannot be done
    virtual void set_up(const SetupOptions& options, const SetupSink& sink) = 0;
    /// Looks and changes nothing; anybody may.
    virtual void status(const SetupOptions& options, const SetupSink& sink) = 0;
    virtual void remove(const SetupOptions& options, const SetupSink& sink) = 0;
};

}  // namespace locald::runtime
