#pragma once

#include <string>
#include <string_view>

namespace locald::cli {

/// Looks for the keys that leave a container alone, in what is typed.
class DetachKeys {
public:
    /// Never found.
    DetachKeys() = default;
    /// @param text  docker's form: single characters or `ctrl-` and a letter or one of @ [ \ ] ^ _, with commas between
    /// @throws Error(invalid) that names --detach-keys
    explicit DetachKeys(std::string_view text);

    /// What of `typed` is for the container. Keys that may be the beginning of the sequence are held back until the
    /// next one.
    std::string take(std::string_view typed);
    bool found() const noexcept { return found_; }

private:
    std::string keys_;
    std::size_t matched_ = 0;
    bool found_ = false;
};

}  // namespace locald::cli
