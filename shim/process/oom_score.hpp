#pragma once

#include <optional>
#include <string>

namespace locald::shim {

/// process.oomScoreAdj for a child about to be made: set on this process, inherited by the child, taken back when this
/// object goes. Inside a user namespace the child itself could not lower it.
class InheritedOomScore {
public:
    explicit InheritedOomScore(std::optional<int> value);
    ~InheritedOomScore();
    InheritedOomScore(const InheritedOomScore&) = delete;
    InheritedOomScore& operator=(const InheritedOomScore&) = delete;

private:
    std::string before_;
};

}  // namespace locald::shim
