#include "core/registry/www_authenticate.hpp"

#include <cstddef>
#include <optional>
#include <utility>

#include "core/registry/url.hpp"

namespace locald::registry {
namespace {

constexpr std::size_t longest_value = 8192;

bool is_tchar(char c) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
}

bool is_token68_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~' || c == '+' || c == '/';
}

/// Reads one header value from left to right.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    bool at_end() const { return at_ == text_.size(); }
    bool next_is(char c) const { return !at_end() && text_[at_] == c; }
    std::size_t position() const { return at_; }
    void back_to(std::size_t position) { at_ = position; }

    bool take(char c) {
        if (!next_is(c)) return false;
        ++at_;
        return true;
    }
    /// How many blanks and tabs stood here.
    std::size_t skip_blanks() {
        const std::size_t from = at_;
        while (next_is(' ') || next_is('\t')) ++at_;
        return at_ - from;
    }
    /// List elements may be empty: `Basic realm="a", , Bearer …`.
    void skip_commas() {
        do skip_blanks();
        while (take(','));
    }
    std::string_view token() {
        const std::size_t from = at_;
        while (!at_end() && is_tchar(text_[at_])) ++at_;
        return text_.substr(from, at_ - from);
    }
    std::string_view token68() {
        const std::size_t from = at_;
        while (!at_end() && is_token68_char(text_[at_])) ++at_;
        if (at_ == from) return {};
        while (next_is('=')) ++at_;
        return text_.substr(from, at_ - from);
    }
    /// A quoted string after its opening quote; nothing when it has no end or holds a control character.
    std::optional<std::string> quoted() {
        std::string out;
        while (!at_end()) {
            char c = text_[at_++];
            if (c == '"') return out;
            if (c == '\\') {
                if (at_end()) return std::nullopt;
                c = text_[at_++];
            }
            const auto byte = static_cast<unsigned char>(c);
            if ((byte < 0x20 && c != '\t') || byte == 0x7f) return std::nullopt;
            out.push_back(c);
        }
        return std::nullopt;
    }

private:
    std::string_view text_;
    std::size_t at_ = 0;
};

enum class Step { parameter, none, malformed };

/// `name = value` at the scanner's place; without one the scanner does not move.
Step read_parameter(Scanner& in, Challenge& challenge) {
    const std::size_t start = in.position();
    const std::string_view name = in.token();
    in.skip_blanks();
    if (name.empty() || !in.take('=')) {
        in.back_to(start);
        return Step::none;
    }
    in.skip_blanks();
    std::string value;
    if (in.take('"')) {
        auto text = in.quoted();
        if (!text) return Step::malformed;
        value = *std::move(text);
    } else {
        const std::string_view text = in.token();
        if (text.empty()) return Step::malformed;
        value = text;
    }
    challenge.parameters.emplace(to_lower(name), std::move(value));
    return Step::parameter;
}

/// True when what follows ends a list element.
bool element_ends(Scanner& in) {
    in.skip_blanks();
    return in.at_end() || in.next_is(',');
}

/// What stands after a scheme's name; false on malformed text.
bool read_challenge_rest(Scanner& in, Challenge& challenge) {
    const std::size_t start = in.position();
    const std::string_view token68 = in.token68();
    if (!token68.empty() && element_ends(in)) {
        challenge.token = token68;
        return true;
    }
    in.back_to(start);
    for (bool first = true;; first = false) {
        const std::size_t before = in.position();
        in.skip_commas();
        const Step step = read_parameter(in, challenge);
        if (step == Step::malformed) return false;
        if (step == Step::none) {
            // the next challenge, or the end; only a comma may stand between two challenges
            in.back_to(before);
            return !first || element_ends(in);
        }
        if (!element_ends(in)) return false;
    }
}

}  // namespace

std::string Challenge::parameter(std::string_view name) const {
    const auto found = parameters.find(std::string(name));
    return found == parameters.end() ? std::string() : found->second;
}

std::vector<Challenge> parse_www_authenticate(std::string_view value) {
    std::vector<Challenge> out;
    if (value.size() > longest_value) return out;
    Scanner in(value);
    for (;;) {
        in.skip_commas();
        if (in.at_end()) return out;
        Challenge challenge;
        challenge.scheme = to_lower(in.token());
        if (challenge.scheme.empty()) return out;
        if (in.skip_blanks() == 0 && !in.at_end() && !in.next_is(',')) return out;
        if (!in.at_end() && !in.next_is(',') && !read_challenge_rest(in, challenge)) return out;
        out.push_back(std::move(challenge));
    }
}

}  // namespace locald::registry
