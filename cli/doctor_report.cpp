#include "cli/doctor_report.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "cli/output.hpp"

namespace locald::cli {

namespace {

using runtime::Finding;
using Severity = Finding::Severity;
using Json = nlohmann::ordered_json;

const char* label(Severity severity) noexcept {
    switch (severity) {
        case Severity::ok:
            return "ok     ";
        case Severity::note:
            return "note   ";
        case Severity::warning:
            return "warning";
        case Severity::critical:
            return "ERROR  ";
    }
    return "";
}

const Finding* find(const runtime::ProbeReport& report, std::string_view id) {
    const auto found = std::find_if(report.findings.begin(), report.findings.end(),
                                    [&](const Finding& finding) { return finding.id == id; });
    return found == report.findings.end() ? nullptr : &*found;
}

}  // namespace

std::string doctor_text(const runtime::ProbeReport& report) {
    std::string out;
    for (const auto& finding : report.findings) {
        out += std::string(label(finding.severity)) + "  " + finding.id + ": " + printable(finding.summary) + "\n";
        if (finding.severity != Severity::ok && !finding.remedy.empty()) {
            out += "         " + printable(finding.remedy) + "\n";
        }
    }
    return out + (doctor_exit_code(report) == 0 ? "Containers can run here.\n" : "Containers cannot run here.\n");
}

std::string doctor_json(const runtime::ProbeReport& report) {
    Json json;
    json["backend"] = report.backend;
    json["mode"] = doctor_exit_code(report) == 0 ? "enabled" : "degraded";
    if (const auto* place = find(report, "cgroup.root_ready")) {
        json["strategy"] = {{"cgroup_root", place->severity == Severity::ok ? "direct" : "none"},
                            {"why", place->summary}};
    }
    json["checks"] = Json::array();
    json["problems"] = Json::array();
    json["fixes"] = Json::array();
    for (const auto& finding : report.findings) {
        const std::string severity(to_string(finding.severity));
        json["checks"].push_back({{"id", finding.id}, {"severity", severity}, {"summary", finding.summary}});
        if (finding.severity == Severity::ok) continue;
        Json problem{{"id", finding.id},
                     {"severity", severity},
                     {"status", finding.severity == Severity::note ? "pass" : "fail"},
                     {"summary", finding.summary},
                     {"remediation", Json::array()},
                     {"evidence", Json::array()}};
        if (!finding.remedy.empty()) {
            problem["remediation"].push_back(finding.remedy);
        }
        // A fix is a command to paste; other remedies are sentences.
        if (finding.remedy.starts_with("sudo ")) {
            problem["fix"] = finding.id;
            json["fixes"].push_back(
                {{"key", finding.id}, {"summary", finding.summary}, {"commands", {finding.remedy}}});
        }
        json["problems"].push_back(std::move(problem));
    }
    return json.dump(2) + "\n";
}

int doctor_exit_code(const runtime::ProbeReport& report) noexcept {
    const bool critical = std::any_of(report.findings.begin(), report.findings.end(),
                                      [](const Finding& finding) { return finding.severity == Severity::critical; });
    return critical || !report.usable ? 1 : 0;
}

}  // namespace locald::cli
