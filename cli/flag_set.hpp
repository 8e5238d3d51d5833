#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace locald::cli {

/// What a flag needs behind it.
enum class FlagKind { unknown, alone, with_value };

/// The flags of one command: their names, where their values go, and what `--help` says of them. CLI11 stays behind
/// this class, which decides two things that CLI11 leaves open: a value is handed over exactly as it was written
/// (empty, in brackets or with a leading dash), and of a flag that is given twice the last one wins.
class FlagSet {
public:
    FlagSet();
    ~FlagSet();
    FlagSet(const FlagSet&) = delete;
    FlagSet& operator=(const FlagSet&) = delete;

    /// The heading in `--help` of the flags that are added from now on.
    void group(std::string heading);
    /// @param names  as CLI11 takes them: `-e,--env`
    /// @param label  what `--help` shows for the value: `NAME[=VALUE]`
    void text(const std::string& names, const std::string& label, std::string& target, const std::string& help);
    void text(const std::string& names, const std::string& label, std::optional<std::string>& target,
              const std::string& help);
    /// May be given several times.
    void list(const std::string& names, const std::string& label, std::vector<std::string>& target,
              const std::string& help);
    void flag(const std::string& names, bool& target, const std::string& help);
    /// A flag of docker's that there is not: `why` is said when somebody uses it. Not shown by `--help`.
    void refuse(const std::string& names, std::string why);

    /// @param name  `--name` or `-n`
    /// @throws Error(invalid) for a refused flag
    FlagKind kind_of(const std::string& name) const;
    /// @param words  `--flag`, or `--flag` and `=value`, in the order of the command line
    /// @throws Error(invalid)
    void parse(std::vector<std::string> words);
    /// The flags by group, each on lines of at most `width` columns.
    std::string help(std::size_t width) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// `text` in lines of at most `width` columns, each with `indent` blanks in front.
std::string wrap(std::string_view text, std::size_t indent, std::size_t width);

}  // namespace locald::cli
