#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/flag_set.hpp"
#include "cli/flags_env.hpp"
#include "core/bundle/options.hpp"

namespace locald::cli {

/// What the flags of `container run` may ask of the place where locald is run.
struct Caller {
    std::string cwd;
    EnvLookup environment;
    std::function<std::string(const std::string& path)> read_file;
};

/// A workload as the flags and operands say.
struct RunRequest {
    bundle::Source source;
    bundle::RunOptions options;
    bool interactive = false;
    bool detach = false;  ///< in the background; `remove` counts then
    bool remove = false;
    /// Sources of `-v`: docker makes a directory of one that does not exist.
    std::vector<std::string> volume_sources;
};

/// The flags of `container run` as they are written.
class RunFlags {
public:
    void add_to(FlagSet& flags);
    /// @param operands  IMAGE (with `--rootfs` DIR) and the command
    /// @throws Error(invalid) that names flag and value
    RunRequest request(const std::vector<std::string>& operands, const Caller& caller) const;

private:
    void take_mounts(RunRequest& request, const Caller& caller) const;
    void take_limits(bundle::RunOptions& options) const;
    void take_source(bundle::Source& source, const std::string& operand, const Caller& caller) const;

    bool interactive_ = false, tty_ = false, detach_ = false, remove_ = false, read_only_ = false, init_ = false,
         rootfs_ = false;
    std::string name_, workdir_, user_, hostname_, memory_, cpus_, pids_limit_, shm_size_, stop_signal_;
    std::string network_, pull_, platform_, userns_;
    std::optional<std::string> entrypoint_;
    std::vector<std::string> env_, env_files_, volumes_, mounts_, tmpfs_, cap_add_, cap_drop_, ulimits_, add_hosts_,
        publish_, security_opts_;
};

}  // namespace locald::cli
