#include "cli/container_list.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

using Status = runtime::ContainerInfo::Status;

constexpr std::array<std::string_view, 4> keys{"status", "id", "name", "ancestor"};
constexpr std::size_t made_id = 32, shown_digits = 12;

std::string duration_since(const std::string& time, std::int64_t now) {
    std::string age = human_age(time, now);
    if (age == "just now") return "less than a minute";
    if (age.ends_with(" ago")) age.resize(age.size() - 4);
    return age;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

bool matches(std::string_view key, std::string_view value, const runtime::ContainerInfo& container) {
    if (key == "status") return to_string(container.status) == value;
    if (key == "id") return container.id.starts_with(value);
    if (key == "name") return container.id.find(value) != std::string::npos;
    return container.image == value;
}

}  // namespace

std::string short_container_id(const std::string& id) {
    const bool made = id.size() == made_id && id.find_first_not_of("0123456789abcdef") == std::string::npos;
    return made ? id.substr(0, shown_digits) : id;
}

std::string container_status(const runtime::ContainerInfo& container, std::int64_t now) {
    switch (container.status) {
        case Status::created:
            return "Created";
        case Status::running:
            return "Up " + duration_since(container.started, now);
        case Status::exited:
            return "Exited (" + std::to_string(container.exit.exit_code()) + ") " + human_age(container.ended, now);
        case Status::lost:
            break;
    }
    return "Lost (its keeper was killed)";
}

std::string container_json(const runtime::ContainerInfo& container, std::int64_t now) {
    const nlohmann::ordered_json json{
        {"ID", container.id},
        {"Image", container.image},
        {"Command", joined(container.command)},
        {"CreatedAt", container.created},
        {"StartedAt", container.started},
        {"FinishedAt", container.ended},
        {"Names", container.id},
        {"Ports", ""},
        {"State", to_string(container.status)},
        {"Status", container_status(container, now)},
        {"ExitCode",
         container.status == Status::exited ? nlohmann::json(container.exit.exit_code()) : nlohmann::json()},
        {"Pid", container.pid},
        {"Detached", container.detached}};
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

ContainerFilter::ContainerFilter(const std::vector<std::string>& filters) {
    for (const auto& text : filters) {
        const auto equals = text.find('=');
        Filter filter{text.substr(0, equals), equals == std::string::npos ? "" : text.substr(equals + 1)};
        if (equals == std::string::npos || std::find(keys.begin(), keys.end(), filter.key) == keys.end()) {
            throw Error(ErrorKind::invalid, "--filter " + json_quote(text) + ": unknown filter")
                .with_remedy("status=running, status=exited, status=lost, name=TEXT, id=PREFIX or ancestor=IMAGE");
        }
        filters_.push_back(std::move(filter));
    }
}

bool ContainerFilter::takes(const runtime::ContainerInfo& container) const {
    return std::all_of(keys.begin(), keys.end(), [&](std::string_view key) {
        bool asked = false;
        for (const auto& filter : filters_) {
            if (filter.key != key) continue;
            if (matches(key, filter.value, container)) return true;
            asked = true;
        }
        return !asked;
    });
}

bool ContainerFilter::names_status() const {
    return std::any_of(filters_.begin(), filters_.end(), [](const Filter& filter) { return filter.key == "status"; });
}

}  // namespace locald::cli
