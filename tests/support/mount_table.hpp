#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

namespace locald::testing {

/// One line of mountinfo. @see proc_pid_mountinfo(5)
struct MountLine {
    std::string root, target, options, type, source, super;
    std::vector<std::string> fields;  ///< the optional ones: shared:N, master:N, unbindable

    bool has(const std::string& option) const {
        return ("," + options + ",").find("," + option + ",") != std::string::npos;
    }
    bool has_super(const std::string& option) const {
        return ("," + super + ",").find("," + option + ",") != std::string::npos;
    }
    bool has_field(const std::string& start) const {
        return std::any_of(fields.begin(), fields.end(), [&](const auto& f) { return f.starts_with(start); });
    }
};

inline std::vector<MountLine> parse_mountinfo(const std::string& text) {
    std::vector<MountLine> lines;
    std::istringstream stream(text);
    for (std::string row; std::getline(stream, row);) {
        std::istringstream words(row);
        MountLine line;
        std::string word;
        words >> word >> word >> word >> line.root >> line.target >> line.options;
        while (words >> word && word != "-") line.fields.push_back(word);
        words >> line.type >> line.source >> line.super;
        lines.push_back(line);
    }
    return lines;
}

/// The last mount on `target`, which is the one that is seen; an empty line when there is none.
inline MountLine mount_on(const std::string& text, const std::string& target) {
    MountLine found;
    for (const auto& line : parse_mountinfo(text)) {
        if (line.target == target) found = line;
    }
    return found;
}

/// Root's test program becomes a host whose mounts are all shared, as systemd makes them, in a mount namespace that
/// ends with it. For SetUpTestSuite().
inline void become_host_of_shared_mounts() {
    if (::geteuid() != 0) return;
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr), 0);
}

}  // namespace locald::testing
