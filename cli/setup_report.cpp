#include "cli/setup_report.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "cli/output.hpp"

namespace locald::cli {

using State = runtime::SetupStep::State;

std::string setup_text(const runtime::SetupStep& step) {
    std::string state(to_string(step.state));
    state.resize(7, ' ');
    std::string text = state + "  " + step.id + ": " + printable(step.what) + "\n";
    if (step.undo.empty() || step.state == State::good) return text;
    const bool undoes = step.state == State::done || step.state == State::would;
    return text + "         " + (undoes ? "to undo: " : "") + printable(step.undo) + "\n";
}

std::string setup_json(const std::vector<runtime::SetupStep>& steps) {
    nlohmann::ordered_json json;
    json["good"] = setup_exit_code(steps) == 0;
    json["items"] = nlohmann::ordered_json::array();
    for (const auto& step : steps) {
        json["items"].push_back({{"id", step.id}, {"state", to_string(step.state)}, {"what", step.what}});
        const bool is_to_type = step.state != State::done && step.state != State::would && step.state != State::good;
        if (!step.undo.empty()) json["items"].back()[is_to_type ? "type" : "undo"] = step.undo;
    }
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int setup_exit_code(const std::vector<runtime::SetupStep>& steps) noexcept {
    const bool bad = std::any_of(steps.begin(), steps.end(), [](const auto& step) {
        return step.state == State::missing || step.state == State::wrong;
    });
    return bad ? 1 : 0;
}

}  // namespace locald::cli
