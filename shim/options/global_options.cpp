#include "shim/options/global_options.hpp"

namespace locald::shim {

namespace {

class GlobalReader {
public:
    explicit GlobalReader(const std::vector<std::string>& words) : words_(words) {}

    CommandLine read() {
        for (; at_ < words_.size() && words_[at_].starts_with('-'); ++at_) {
            take();
            if (parsed_.wanted != Wanted::verb) return std::move(parsed_);
        }
        parsed_.at = at_;
        return std::move(parsed_);
    }

private:
    void take() {
        const std::string& word = words_[at_];
        const auto equals = word.find('=');
        name_ = word.substr(0, equals);
        has_value_ = equals != std::string::npos;
        value_ = has_value_ ? word.substr(equals + 1) : std::string();
        Globals& globals = parsed_.globals;
        if (name_ == "--root") {
            globals.root = value();
            if (globals.root.empty()) throw UsageError("option --root: the directory is empty");
            if (globals.root == "/") throw UsageError("Option --root argument should not be set to /");
        } else if (name_ == "--log") {
            globals.log = value();
        } else if (name_ == "--log-format") {
            const std::string format = value();
            if (format != "json" && format != "text") throw UsageError("invalid log-format: " + format);
            globals.log_json = format == "json";
        } else if (name_ == "--log-level") {
            const std::string level = value();
            if (level != "error" && level != "warning" && level != "debug") {
                throw UsageError("unknown log level " + level);
            }
            globals.debug = level == "debug";
        } else if (name_ == "--debug") {
            globals.debug = flag();
        } else if (name_ == "--systemd-cgroup") {
            globals.systemd_cgroup = flag();
        } else if (name_ == "--cgroup-manager") {
            take_manager(value());
        } else if (name_ == "--rootless") {
            globals.rootless = value();
            if (globals.rootless != "auto" && globals.rootless != "true" && globals.rootless != "false") {
                throw UsageError("option --rootless: expected auto, true or false, got \"" + globals.rootless + "\"");
            }
        } else if (name_ == "--criu") {
            globals.criu = value();
        } else if (name_ == "--shim-version") {
            parsed_.wanted = Wanted::bare_version;
        } else if (name_ == "--version" || name_ == "-v") {
            parsed_.wanted = Wanted::version;
        } else if (name_ == "--help" || name_ == "-h") {
            parsed_.wanted = Wanted::help;
        } else {
            throw UsageError("unknown option " + word);
        }
    }

    void take_manager(const std::string& manager) {
        if (manager != "cgroupfs" && manager != "systemd" && manager != "disabled") {
            throw UsageError("option --cgroup-manager: expected cgroupfs, systemd or disabled, got \"" + manager +
                             "\"");
        }
        parsed_.globals.systemd_cgroup = manager == "systemd";
        parsed_.globals.cgroups_disabled = manager == "disabled";
    }

    std::string value() {
        if (has_value_) return value_;
        if (++at_ >= words_.size()) throw UsageError("option " + name_ + " needs a value");
        return words_[at_];
    }

    bool flag() const {
        if (!has_value_ || value_ == "true") return true;
        if (value_ == "false") return false;
        throw UsageError("option " + name_ + " takes no value but true or false");
    }

    const std::vector<std::string>& words_;
    std::size_t at_ = 0;
    CommandLine parsed_;
    std::string name_, value_;
    bool has_value_ = false;
};

}  // namespace

CommandLine read_globals(const std::vector<std::string>& words) { return GlobalReader(words).read(); }

}  // namespace locald::shim
