#include "cli/flag_set.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <utility>

#include "cli/output.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

struct Refused {
    std::vector<std::string> names;
    std::string why;
};

/// Values come with a `=` in front, which keeps CLI11 from reading anything into them.
std::string unwrapped(const std::string& value) { return value.substr(1); }

}  // namespace

struct FlagSet::Impl {
    CLI::App app;
    std::string heading = "Options";
    std::vector<Refused> refused;

    void describe(CLI::Option* option, const std::string& label) const {
        option->group(heading);
        if (!label.empty()) option->type_name(label);
    }
};

FlagSet::FlagSet() : impl_(std::make_unique<Impl>()) { impl_->app.set_help_flag(""); }
FlagSet::~FlagSet() = default;

void FlagSet::group(std::string heading) { impl_->heading = std::move(heading); }

void FlagSet::text(const std::string& names, const std::string& label, std::string& target, const std::string& help) {
    auto* option = impl_->app.add_option_function<std::string>(
        names, [&target](const std::string& value) { target = unwrapped(value); }, help);
    impl_->describe(option->take_last(), label);
}

void FlagSet::text(const std::string& names, const std::string& label, std::optional<std::string>& target,
                   const std::string& help) {
    auto* option = impl_->app.add_option_function<std::string>(
        names, [&target](const std::string& value) { target = unwrapped(value); }, help);
    impl_->describe(option->take_last(), label);
}

void FlagSet::list(const std::string& names, const std::string& label, std::vector<std::string>& target,
                   const std::string& help) {
    auto* option = impl_->app.add_option_function<std::vector<std::string>>(
        names,
        [&target](const std::vector<std::string>& values) {
            for (const auto& value : values) target.push_back(unwrapped(value));
        },
        help);
    impl_->describe(option->allow_extra_args(false), label);
}

void FlagSet::flag(const std::string& names, bool& target, const std::string& help) {
    impl_->describe(impl_->app.add_flag(names, target, help)->take_last(), "");
}

void FlagSet::refuse(const std::string& names, std::string why) {
    Refused refused;
    for (const auto name : split(names, ',')) refused.names.emplace_back(name);
    refused.why = std::move(why);
    impl_->refused.push_back(std::move(refused));
}

FlagKind FlagSet::kind_of(const std::string& name) const {
    for (const auto& refused : impl_->refused) {
        if (std::find(refused.names.begin(), refused.names.end(), name) != refused.names.end()) {
            throw Error(ErrorKind::invalid, refused.names.back() + " is not available").with_remedy(refused.why);
        }
    }
    const CLI::App& app = impl_->app;
    const CLI::Option* option = app.get_option_no_throw(name);
    if (option == nullptr) return FlagKind::unknown;
    return option->get_items_expected_max() == 0 ? FlagKind::alone : FlagKind::with_value;
}

void FlagSet::parse(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    try {
        impl_->app.parse(std::move(words));
    } catch (const CLI::ParseError& e) {
        throw Error(ErrorKind::invalid, e.what());
    }
}

std::string FlagSet::help(std::size_t width) const {
    constexpr std::size_t column = 30;
    std::string out;
    const CLI::App& app = impl_->app;
    std::vector<std::string> headings;
    for (const auto* option : app.get_options()) {
        if (std::find(headings.begin(), headings.end(), option->get_group()) == headings.end()) {
            headings.push_back(option->get_group());
        }
    }
    // The common ones were added first and matter least.
    std::rotate(headings.begin(), headings.begin() + (headings.empty() ? 0 : 1), headings.end());
    for (const auto& heading : headings) {
        out += "\n" + heading + ":\n";
        for (const auto* option : app.get_options()) {
            if (option->get_group() != heading) continue;
            std::string left = "  ";
            const auto& shorts = option->get_snames();
            left += shorts.empty() ? "    " : "-" + shorts.front() + ", ";
            const auto& longs = option->get_lnames();
            if (!longs.empty()) left += "--" + longs.front();
            if (option->get_items_expected_max() != 0) left += " " + option->get_type_name();
            std::string right = wrap(option->get_description(), column, width);
            // A flag that reaches into the column of explanations has a line of its own.
            if (text_columns(left) + 1 < column) {
                right.replace(0, text_columns(left), left);
            } else {
                right.insert(0, left + "\n");
            }
            out += right;
        }
    }
    return out;
}

std::string wrap(std::string_view text, std::size_t indent, std::size_t width) {
    const std::string margin(indent, ' ');
    std::string out;
    std::string line = margin;
    for (const auto word : split(text, ' ')) {
        if (line.size() > indent && text_columns(line) + 1 + text_columns(word) > width) {
            out += line + "\n";
            line = margin;
        }
        if (line.size() > indent) line += ' ';
        line += word;
    }
    return out + line + "\n";
}

}  // namespace locald::cli
