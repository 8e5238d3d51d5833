#include <nlohmann/json.hpp>
#include <time.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <limits>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "shim/container/state.hpp"

namespace locald::shim {

namespace {

Error corrupt(const std::string& what) {
    return Error(ErrorKind::corrupt, "state.json: " + what)
        .with_remedy("`locald-shim delete --force ID` removes the container");
}

/// A whole number from 0: what get() alone would cut off, or take from a fraction, is refused.
template <class Number>
Number number_of(const nlohmann::json& whole, const char* key) {
    const auto& value = whole.at(key);
    // Negative ones are integers, but not unsigned.
    const bool fits = value.is_number_unsigned() &&
                      value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<Number>::max());
    if (!fits) throw corrupt(std::string(key) + ": expected a number, got " + value.dump());
    return value.get<Number>();
}

}  // namespace

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
        state.pid = number_of<int>(whole, "pid");
        state.bundle = whole.at("bundle").get<std::string>();
        state.rootfs = whole.at("rootfs").get<std::string>();
        state.created = whole.at("created").get<std::string>();
        state.annotations = whole.at("annotations").get<oci::Annotations>();
        record.start_time = number_of<std::uint64_t>(whole, "startTime");
        record.shim_pid = number_of<pid_t>(whole, "shimPid");
        record.shim_start_time = number_of<std::uint64_t>(whole, "shimStartTime");
        record.cgroups = whole.at("cgroups").get<std::vector<std::string>>();
        record.resctrl = whole.value("resctrl", std::vector<std::string>());
        record.systemd_unit = whole.value("systemdUnit", std::string());
        record.process = whole.value("process", true);
        record.poststart = whole.value("poststart", false);
        record.poststop = whole.value("poststop", false);
    } catch (const nlohmann::json::exception& e) {
        throw corrupt(e.what());
    }
    return record;
}

}  // namespace locald::shim
