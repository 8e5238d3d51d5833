#include <nlohmann/json.hpp>
#include <time.h>

#include <array>
#include <chrono>
#include <cstdio>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/state.hpp"

namespace locald::shim {

std::string to_json(const Record& record) {
    const oci::State& state = record.state;
    std::string json = "{\"ociVersion\":" + json_quote(state.oci_version) + ",\"id\":" + json_quote(state.id) +
                       ",\"status\":" + json_quote(state.status) + ",\"pid\":" + std::to_string(state.pid) +
                       ",\"bundle\":" + json_quote(state.bundle) + ",\"rootfs\":" + json_quote(state.rootfs) +
                       ",\"created\":" + json_quote(state.created) + ",\"annotations\":{";
    bool first = true;
    for (const auto& [key, value] : state.annotations) {
        json += (first ? "" : ",") + json_quote(key) + ":" + json_quote(value);
        first = false;
    }
    json += "},\"startTime\":" + std::to_string(record.start_time) + ",\"shimPid\":" + std::to_string(record.shim_pid) +
            ",\"shimStartTime\":" + std::to_string(record.shim_start_time) + ",\"cgroups\":[";
    first = true;
    for (const auto& path : record.cgroups) {
        json += (first ? "" : ",") + json_quote(path);
        first = false;
    }
    json += "],\"resctrl\":[";
    first = true;
    for (const auto& path : record.resctrl) {
        json += (first ? "" : ",") + json_quote(path);
        first = false;
    }
    json += "]";
    if (!record.systemd_unit.empty()) json += ",\"systemdUnit\":" + json_quote(record.systemd_unit);
    if (!record.process) json += ",\"process\":false";
    if (record.poststart) json += ",\"poststart\":true";
    if (record.poststop) json += ",\"poststop\":true";
    return json + "}\n";
}

Record parse_record(const std::string& json) {
    Record record;
    try {
        const auto whole = nlohmann::json::parse(json);
        oci::State& state = record.state;
        state.oci_version = whole.at("ociVersion").get<std::string>();
        state.id = whole.at("id").get<std::string>();
        state.status = whole.at("status").get<std::string>();
        state.pid = whole.at("pid").get<int>();
        state.bundle = whole.at("bundle").get<std::string>();
        state.rootfs = whole.at("rootfs").get<std::string>();
        state.created = whole.at("created").get<std::string>();
        state.annotations = whole.at("annotations").get<oci::Annotations>();
        record.start_time = whole.at("startTime").get<std::uint64_t>();
        record.shim_pid = whole.at("shimPid").get<pid_t>();
        record.shim_start_time = whole.at("shimStartTime").get<std::uint64_t>();
        record.cgroups = whole.at("cgroups").get<std::vector<std::string>>();
        record.resctrl = whole.value("resctrl", std::vector<std::string>());
        record.systemd_unit = whole.value("systemdUnit", std::string());
        record.process = whole.value("process", true);
        record.poststart = whole.value("poststart", false);
        record.poststop = whole.value("poststop", false);
    } catch (const nlohmann::json::exception& e) {
        throw Error(ErrorKind::corrupt, std::string("state.json: ") + e.what())
            .with_remedy("`locald-shim delete --force ID` removes the container");
    }
    return record;
}

std::string timestamp_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    // By the calendar alone: gmtime_r would read /etc/localtime.
    const std::chrono::sys_seconds moment{std::chrono::seconds(now.tv_sec)};
    const auto day = std::chrono::floor<std::chrono::days>(moment);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(moment - day);
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%09ldZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()), now.tv_nsec);
    return text.data();
}

}  // namespace locald::shim
