#include "shim/process/oom_score.hpp"

#include <fcntl.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/posix/fs.hpp"
#include "core/posix/procfs.hpp"
#include "shim/process/process.hpp"

namespace locald::shim {

namespace {
constexpr const char* file = "/proc/self/oom_score_adj";
}  // namespace

InheritedOomScore::InheritedOomScore(std::optional<int> value) {
    if (!value) return;
    const std::string now(trim(posix::read_file(file, 64)));
    if (now == std::to_string(*value)) return;
    set_oom_score_adj(*value);
    before_ = now;
}

InheritedOomScore::~InheritedOomScore() {
    if (before_.empty()) return;
    try {
        posix::write_all(posix::open_in_proc("self/oom_score_adj", O_WRONLY), before_, file);
    } catch (const Error&) {
        // A caller who may not lower it again lives on with the container's score, which is his own choice.
    }
}

}  // namespace locald::shim
