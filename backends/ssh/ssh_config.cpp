#include "backends/ssh/ssh_config.hpp"

#include <algorithm>

#include "backends/hosts/ssh_address.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_keyword(std::string_view word, std::string_view keyword) {
    return std::equal(word.begin(), word.end(), keyword.begin(), keyword.end(),
                      [](char a, char b) { return lower(a) == lower(b); });
}

/// The words of a line: blanks and, after the first, one `=` between them; quotes hold blanks together; `#` at the
/// start of a word ends the line.
std::vector<std::string> words_of(std::string_view line, const std::string& where) {
    std::vector<std::string> words;
    std::size_t at = 0;
    const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f'; };
    for (;;) {
        while (at < line.size() && (is_blank(line[at]) || (words.size() == 1 && line[at] == '='))) ++at;
        if (at == line.size() || line[at] == '#') return words;
        std::string word;
        if (line[at] == '"') {
            const auto end = line.find('"', at + 1);
            if (end == std::string_view::npos) throw Error(ErrorKind::invalid, where + ": a quote is not closed");
            word = line.substr(at + 1, end - at - 1);
            at = end + 1;
        } else {
            while (at < line.size() && !is_blank(line[at]) && !(words.empty() && line[at] == '=')) word += line[at++];
        }
        words.push_back(std::move(word));
    }
}

/// Whether a Host line with these patterns is about `host`: some pattern matches, and no pattern with `!` does.
bool is_about(const std::vector<std::string>& words, const std::string& host) {
    bool about = false;
    for (std::size_t i = 1; i < words.size(); ++i) {
        std::string_view pattern = words[i];
        const bool negated = pattern.starts_with('!');
        if (negated) pattern.remove_prefix(1);
        if (!matches_pattern(host, pattern)) continue;
        if (negated) return false;
        about = true;
    }
    return about;
}

}  // namespace

bool matches_pattern(std::string_view text, std::string_view pattern) noexcept {
    // One way back, to the last star: enough, and never worse than both lengths multiplied.
    std::size_t t = 0, p = 0, star = std::string_view::npos, from = 0;
    while (t < text.size()) {
        if (p < pattern.size() && (pattern[p] == '?' || (pattern[p] != '*' && pattern[p] == text[t]))) {
            ++t;
            ++p;
        } else if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            from = t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

void read_ssh_config(std::string_view text, const std::string& path, const std::string& host, SshHostConfig& config) {
    bool about = true;
    std::size_t number = 0;
    for (const auto line : split(text, '\n')) {
        const std::string where = path + ":" + std::to_string(++number);
        const auto words = words_of(line, where);
        if (words.empty()) continue;
        const auto is = [&](std::string_view keyword) { return same_keyword(words[0], keyword); };
        const auto value = [&]() -> const std::string& {
            if (words.size() < 2 || words[1].empty()) {
                throw Error(ErrorKind::invalid, where + ": " + json_quote(words[0]) + " has no value");
            }
            return words[1];
        };
        if (is("Host")) {
            about = is_about(words, host);
        } else if (is("Match")) {
            about = words.size() == 2 && same_keyword(words[1], "all");
        } else if (!about) {
            continue;
        } else if (is("HostName")) {
            if (config.host_name.empty()) config.host_name = value();
        } else if (is("User")) {
            if (config.user.empty()) config.user = value();
        } else if (is("Port")) {
            if (config.port == 0) config.port = parse_ssh_port(value(), where);
        } else if (is("IdentityFile")) {
            config.identity_files.push_back(value());
        } else if (is("IdentityAgent")) {
            if (config.identity_agent.empty()) config.identity_agent = value();
        } else if (is("ProxyJump")) {
            if (config.proxy_jump.empty()) config.proxy_jump = value();
        }
    }
}

}  // namespace locald::backends
