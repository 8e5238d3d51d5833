#include "cli/caller.hpp"
#include "cli/commands/commands.hpp"
#include "cli/flags_env.hpp"
#include "cli/flags_values.hpp"
#include "cli/foreground.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

class ContainerExec final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override {
        flags.flag("-i,--interactive", interactive_, "Give it our stdin; without it stdin is empty");
        flags.flag("-t,--tty", options_.tty, "Give it a terminal");
        flags.flag("-d,--detach", options_.detach, "Come back when it runs; nobody has its streams and its status");
        flags.list("-e,--env", "NAME[=VALUE]", env_, "Set a variable; a name alone takes its value from here");
        flags.list("--env-file", "FILE", env_files_, "Read variables from a file, one NAME=VALUE a line");
        flags.text("-w,--workdir", "DIR", workdir_, "Directory inside the container to start in");
        flags.text("-u,--user", "USER[:GROUP]", options_.user, "User inside the container, by name or number");
        flags.refuse("--privileged", "add what the program needs by `container run --cap-add`");
    }

    int run(const Globals& globals, std::vector<std::string> operands) override {
        const auto caller = this_process();
        for (const auto& path : env_files_) {
            const std::string text = in_step("--env-file", [&] { return caller.read_file(path); });
            parse_env_file(text, path, caller.environment, options_.env);
        }
        for (const auto& value : env_) parse_env_flag(value, caller.environment, options_.env);
        if (!workdir_.empty()) options_.workdir = parse_workdir(workdir_);
        options_.command.assign(operands.begin() + 1, operands.end());
        if (options_.detach && options_.tty) {
            throw Error(ErrorKind::invalid, "-d and -t: nobody would have the terminal").with_remedy("leave -t out");
        }
        const auto runtime = runtime::make_runtime(globals.choice());
        if (options_.detach) {
            runtime->exec(operands.front(), options_, {});
            return 0;
        }
        return exec_in_foreground(*runtime, operands.front(), options_,
                                  {interactive_, options_.tty, globals.quiet, false});
    }

private:
    runtime::ExecOptions options_;
    bool interactive_ = false;
    std::string workdir_;
    std::vector<std::string> env_, env_files_;
};

}  // namespace

std::unique_ptr<CommandBody> make_container_exec() { return make_body<ContainerExec>(); }

}  // namespace locald::cli
