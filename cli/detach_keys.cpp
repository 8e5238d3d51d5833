#include "cli/detach_keys.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::cli {

namespace {

constexpr std::string_view control = "ctrl-";

char parse_key(std::string_view key, std::string_view all) {
    if (key.size() == 1) return key[0];
    if (key.starts_with(control) && key.size() == control.size() + 1) {
        const char letter = key.back();
        if (letter >= 'a' && letter <= 'z') return static_cast<char>(letter - 'a' + 1);
        if (letter >= '@' && letter <= '_') return static_cast<char>(letter - '@');
    }
    throw Error(ErrorKind::invalid, "--detach-keys " + json_quote(all) + ": unknown key " + json_quote(key))
        .with_remedy("single characters or ctrl- and a letter, with commas between, like ctrl-p,ctrl-q");
}

}  // namespace

DetachKeys::DetachKeys(std::string_view text) {
    for (const auto key : split(text, ',')) keys_ += parse_key(key, text);
}

std::string DetachKeys::take(std::string_view typed) {
    if (keys_.empty()) return std::string(typed);
    std::string out;
    for (const char key : typed) {
        if (found_) break;
        if (key != keys_[matched_]) {
            // What was held back is no beginning of it after all; this one may be.
            out.append(keys_, 0, matched_);
            matched_ = 0;
        }
        if (key == keys_[matched_]) {
            found_ = ++matched_ == keys_.size();
        } else {
            out += key;
        }
    }
    return out;
}

}  // namespace locald::cli
