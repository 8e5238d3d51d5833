#pragma once

#include <string>
#include <vector>

#include "shim/cgroup/dir.hpp"

namespace locald::shim {

inline constexpr const char* remedy_for_cgroup_rights =
    "`sudo locald admin setup` gives the users of a host cgroups of their own; else leave the limit out, run as root, "
    "or "
    "start from a session whose cgroup is delegated (systemd: Delegate=yes)";

/// The names in a relative path.
std::vector<std::string> path_components(const std::string& relative);

/// Makes the directories of one container in one hierarchy, and writes down which ones are new.
class CgroupMaker {
public:
    /// @param made  gets the new directories
    explicit CgroupMaker(const CgroupMount& mount, std::vector<std::string>* made = nullptr)
        : mount_(mount), made_(made) {}

    /// v2: a controller that must reach the directories that make() makes.
    void need(const std::string& controller);
    /// mkdir -p below the mount point, controllers handed on at every level, v1 cpusets filled from their parent. A
    /// container that ends at this moment may take an empty parent away; then the walk begins again.
    CgroupDir make(const std::string& relative);
    /// Hands the needed controllers on, down to the directory `relative` that exists.
    void hand_on_to(const std::string& relative);
    /// One level more, without controllers.
    CgroupDir make_child(const CgroupDir& parent, const std::string& name);
    /// The kernel's refusal to hand a controller on; empty when there was none.
    const std::string& refused() const noexcept { return refused_; }

private:
    int enter(const CgroupDir& dir, const std::string& name, CgroupDir& out);
    void hand_on(const CgroupDir& dir);

    const CgroupMount& mount_;
    std::vector<std::string>* made_;
    std::vector<std::string> needed_;
    std::string refused_;
};

}  // namespace locald::shim
