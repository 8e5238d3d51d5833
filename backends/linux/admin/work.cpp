#include "backends/linux/admin/work.hpp"

#include "core/base/error.hpp"

namespace locald::backends::admin {

using State = runtime::SetupStep::State;

void Work::see_to(const std::string& id, bool is_so, const Words& words, const std::string& undo,
                  const std::function<void()>& change) const {
    if (!is_so && acts()) in_step(words.is, change);
    const State state = is_so ? State::good : acts() ? State::done : looks() ? State::missing : State::would;
    std::string type = state == State::missing ? "sudo locald admin setup" : undo;
    if (type.starts_with("sudo locald admin ") && options_.prefix != runtime::SetupOptions().prefix) {
        type += " --prefix " + options_.prefix;
    }
    sink_({id, state, state == State::missing ? words.lack : words.is, type});
}

void Work::see_away(const std::string& id, bool is_away, const std::string& thing, const std::string& undo,
                    const std::function<void()>& change) const {
    if (!is_away && acts()) in_step("remove " + thing, change);
    const State state = is_away ? State::good : acts() ? State::done : State::would;
    const char* how = is_away ? " is not there" : acts() ? " is removed" : " would be removed";
    sink_({id, state, thing + how, is_away ? std::string() : undo});
}

void Work::note(const std::string& id, const std::string& what, const std::string& type) const {
    sink_({id, State::note, what, type});
}

}  // namespace locald::backends::admin
