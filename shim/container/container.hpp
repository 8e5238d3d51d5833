#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/oci/runtime_spec.hpp"
#include "core/posix/unique_fd.hpp"
#include "shim/base/report.hpp"
#include "shim/base/shared_flag.hpp"
#include "shim/cgroup/cgroup.hpp"
#include "shim/container/hooks.hpp"
#include "shim/container/notify.hpp"
#include "shim/container/spawn.hpp"
#include "shim/container/state.hpp"
#include "shim/mounts/bind_sources.hpp"
#include "shim/namespaces/early_network.hpp"
#include "shim/namespaces/namespaces.hpp"
#include "shim/namespaces/net_devices.hpp"
#include "shim/options/options.hpp"
#include "shim/process/terminal_proxy.hpp"

namespace locald::shim {

/// How the container's first process ended.
struct Ending {
    int code = 0;    ///< of a normal exit
    int signal = 0;  ///< that killed it; 0 else
    bool oom = false;
    /// As a shell has it: the code, or 128 + signal.
    int exit_code() const noexcept { return signal != 0 ? 128 + signal : code; }
};

/// One container: seen through from its state directory to the last trace of it, or made and left to itself.
class Container {
public:
    Container(const Options& options, const Reporter& report);
    /// Destroys what is left.
    ~Container();
    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;

    /// Makes it. In the foreground: sees it through, removes it and tells how it ended; else leaves it created or
    /// running. @throws Error when it did not come that far; then nothing of it is left
    std::optional<Ending> run();

private:
    void load();
    void prepare();
    void start();
    void connect_sockets();
    bool foreground() const noexcept { return options_.fate == Fate::foreground; }
    void leave();
    void note_shared_root();
    bool keeps_no_cgroup_but_the_users() const;
    void equip(bool attach_needed, bool wait_attached, bool tells_mounted);
    void release(pid_t pid);
    std::optional<Ending> supervise();
    void on_message();
    void take_terminal();
    void on_signal(int number);
    void on_running();
    Ending reap();
    void destroy() noexcept;
    void write_pid_file() const;

    const Options& options_;
    const Reporter& report_;
    posix::UniqueFd signals_;
    std::string bundle_;
    oci::Spec spec_;
    NamespacePlan namespaces_;
    EarlyNetwork early_network_;
    std::optional<StateDir> state_dir_;
    Record record_;
    Cgroup cgroup_;
    MovedNetDevices net_devices_;
    std::string resctrl_;  ///< where it is mounted, when linux.intelRdt asks for it
    std::optional<BindSources> bind_sources_;
    Spawned child_;
    posix::UniqueFd sync_;
    SharedFlag executing_;
    posix::UniqueFd console_, start_listener_;
    posix::UniqueFd master_from_;  ///< gives the terminal's master when nobody else takes it
    std::optional<TerminalProxy> terminal_;
    NotifyRelay notify_;
    HookOutputs hook_outputs_;
    bool delegates_ = false;  ///< run.oci.delegate-cgroup
    bool parked_ = false, running_ = false, reaped_ = false;
    int ended_by_ = 0;  ///< the signal that asked for the end before the program ran
    std::optional<Error> failure_;
};

}  // namespace locald::shim
