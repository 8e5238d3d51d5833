#include "backends/linux/admin/work.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace locald::backends::admin {

using State = runtime::SetupStep::State;

void Work::see_to(const std::string& id, bool is_so, const Words& words, const std::string& undo,
                  const std::function<void()>& change) const {
    if (!is_so && acts()) in_step(words.is, change);
    const State state = is_so ? State::good : acts() ? State::done : looks() ? State::missing : State::would;
    const std::string type = state == State::missing ? "sudo locald admin setup" : undo;
    sink_({id, state, state == State::missing ? words.lack : words.is, with_prefix(type)});
}

void Work::see_away(const std::string& id, bool is_away, const std::string& thing, const std::string& undo,
                    const std::function<void()>& change) const {
    if (!is_away && acts()) in_step("remove " + thing, change);
    const State state = is_away ? State::good : acts() ? State::done : State::would;
    const char* how = is_away ? " is not there" : acts() ? " is removed" : " would be removed";
    sink_({id, state, thing + how, is_away ? std::string() : with_prefix(undo)});
}

void Work::note(const std::string& id, const std::string& what, const std::string& type) const {
    sink_({id, State::note, what, with_prefix(type)});
}

void Work::wrong(const std::string& id, const std::string& what, const std::string& type) const {
    sink_({id, State::wrong, what, with_prefix(type)});
}

std::string Work::with_prefix(std::string type) const {
    if (options_.prefix == runtime::SetupOptions().prefix) return type;
    const auto comment = std::min(type.find("   #"), type.size());
    const auto command = type.find(" admin ");
    if (command != std::string::npos)
        type.insert(command < comment ? comment : type.size(), " --prefix " + options_.prefix);
    return type;
}

}  // namespace locald::backends::admin
