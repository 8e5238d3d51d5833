#include "cli/flags_env.hpp"

#include "cli/flags_values.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

constexpr std::string_view blanks = " \t\v\f\r";

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace

void parse_env_flag(std::string_view value, const EnvLookup& lookup, EnvList& env) {
    const auto equals = value.find('=');
    const std::string name(value.substr(0, equals));
    if (name.empty()) throw bad_value("--env", value, "there is no name before the value");
    if (equals != std::string_view::npos) {
        env.emplace_back(name, std::string(value.substr(equals + 1)));
    } else if (auto found = lookup(name)) {
        env.emplace_back(name, std::move(*found));
    }
}

void parse_env_file(std::string_view text, std::string_view path, const EnvLookup& lookup, EnvList& env) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark of Windows' editors
    std::size_t number = 0;
    for (std::string_view line : split(text, '\n')) {
        ++number;
        const auto fail = [&](std::string_view why) {
            return Error(ErrorKind::invalid, "--env-file " + std::string(path) + ", line " + std::to_string(number) +
                                                 ": " + std::string(why));
        };
        if (line.ends_with('\r')) line.remove_suffix(1);
        const auto start = line.find_first_not_of(blanks);
        if (start == std::string_view::npos || line[start] == '#') continue;
        line.remove_prefix(start);
        if (has_nul(line)) throw fail("it holds a zero byte");
        const auto equals = line.find('=');
        const std::string name(line.substr(0, equals));
        if (name.empty()) throw fail("there is no name before the value");
        if (name.find_first_of(blanks) != std::string::npos) throw fail(json_quote(name) + " has blanks in its name");
        if (equals != std::string_view::npos) {
            env.emplace_back(name, std::string(line.substr(equals + 1)));
        } else if (auto found = lookup(name)) {
            env.emplace_back(name, std::move(*found));
        }
    }
}

}  // namespace locald::cli
