#include "cli/commands/commands.hpp"
#include "cli/doctor_report.hpp"
#include "cli/output.hpp"
#include "core/base/error.hpp"

namespace locald::cli {

namespace {

/// A platform without a backend is a finding too: `doctor` is where one looks when nothing works.
runtime::ProbeReport probe(const Globals& globals) {
    try {
        return runtime::make_runtime(globals.choice())->probe();
    } catch (const Error& e) {
        if (e.kind() != ErrorKind::unsupported_platform) throw;
        runtime::ProbeReport report;
        report.backend = globals.backend.empty() ? "none" : globals.backend;
        report.findings.push_back(
            {"platform.unsupported", runtime::Finding::Severity::critical, e.message(), e.remedy()});
        return report;
    }
}

class Doctor final : public CommandBody {
public:
    void add_flags(FlagSet& flags) override { flags.flag("--json", json_, "Print a JSON object"); }

    int run(const Globals& globals, std::vector<std::string>) override {
        const auto report = probe(globals);
        print(json_ ? doctor_json(report) : doctor_text(report));
        return doctor_exit_code(report);
    }

private:
    bool json_ = false;
};

}  // namespace

std::unique_ptr<CommandBody> make_doctor() { return make_body<Doctor>(); }

}  // namespace locald::cli
