#include "shim/options/command_line.hpp"

#include "core/base/text.hpp"

namespace locald::shim {

void Walker::check_inline_value_used() const {
    if (inline_value_) refuse("option " + last_ + " takes no value");
}

bool Walker::next_option(std::string& name) {
    check_inline_value_used();
    while (at_ < words_.size()) {
        const std::string& word = words_[at_++];
        if (literal_ || word.size() < 2 || word[0] != '-') {
            arguments_.push_back(word);
            literal_ = literal_ || stops_;
            continue;
        }
        if (word == "--") {
            literal_ = true;
            continue;
        }
        const auto equals = word.find('=');
        if (equals != std::string::npos) inline_value_ = word.substr(equals + 1);
        name = last_ = word.substr(0, equals);
        if (name == "-h" || name == "--help") throw HelpWanted();
        return true;
    }
    return false;
}

std::string Walker::value() {
    if (inline_value_) {
        std::string value = *std::move(inline_value_);
        inline_value_.reset();
        return value;
    }
    if (at_ >= words_.size()) refuse("option " + last_ + " needs a value");
    return words_[at_++];
}

unsigned Walker::number(unsigned most) {
    const std::string text = value();
    const auto parsed = parse_u64(text);
    if (!parsed || *parsed > most) {
        refuse("option " + last_ + ": expected 0.." + std::to_string(most) + ", got \"" + text + "\"");
    }
    return static_cast<unsigned>(*parsed);
}

bool Walker::flag() {
    if (!inline_value_) return true;
    const std::string text = value();
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    refuse("option " + last_ + " takes no value but true or false");
}

void Walker::unknown() const { refuse("unknown option " + last_); }

void Walker::refuse(const std::string& text) const { throw UsageError(text, exit_code_); }

void Walker::need_exactly(std::size_t count) const {
    check_inline_value_used();
    if (arguments_.size() != count) {
        refuse("\"" + verb_ + "\" requires exactly " + std::to_string(count) + " argument(s)");
    }
}

void Walker::need_at_least(std::size_t count) const {
    check_inline_value_used();
    if (arguments_.size() < count) {
        refuse("\"" + verb_ + "\" requires a minimum of " + std::to_string(count) + " argument(s)");
    }
}

void Walker::need_at_most(std::size_t count) const {
    check_inline_value_used();
    if (arguments_.size() > count) {
        refuse("\"" + verb_ + "\" requires a maximum of " + std::to_string(count) + " argument(s)");
    }
}

}  // namespace locald::shim
