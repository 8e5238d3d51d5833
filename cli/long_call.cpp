#include "cli/long_call.hpp"

#include "cli/foreground_pump.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

int run_long_call(bool quiet, const std::function<void(const ProgressSink&, const CancelToken&)>& call) {
    const ForegroundPump signals(false);
    ProgressLine progress(quiet);
    try {
        call(progress.sink(), signals.cancel());
        return 0;
    } catch (const Error& e) {
        progress.clear();
        const auto signal = signals.cancelled_by();
        if (e.kind() != ErrorKind::cancelled || !signal) throw;
        note(e.what());
        return runtime::ExitStatus{0, *signal}.exit_code();
    }
}

}  // namespace locald::cli
