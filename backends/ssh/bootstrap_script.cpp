#include "backends/ssh/bootstrap_script.hpp"

#include <array>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

namespace {

// Where pairs lie: below what `locald` calls its data directory, so that a user needs no right that he lacks.
constexpr std::string_view find_directory =
    "case $XDG_DATA_HOME in /*) d=$XDG_DATA_HOME;; *) d=$HOME/.local/share;; esac; d=$d/locald/agents; ";

// Its size says that a program is whole: it got its name only after its sum was looked at. The pair's directory is
// touched, so that the newest is that which was used last.
constexpr std::string_view start_script =
    R"sh(k=$1; shift; s=$(uname -s); m=$(uname -m); n=none; a=0; b=0; )sh"
    R"sh(while [ $# -ge 4 ]; do if [ "$1" = "$m" ]; then n=$2; a=$3; b=$4; fi; shift 4; done; )sh"
    R"sh(p=$d/$n; if [ -x "$p/locald" ] && [ -x "$p/locald-shim" ] && [ "$(wc -c <"$p/locald")" -eq "$a" ] )sh"
    R"sh(&& [ "$(wc -c <"$p/locald-shim")" -eq "$b" ]; then touch "$p"; echo; echo "$k start"; exec env -i)sh";

constexpr std::string_view start_script_end = R"sh(; fi; echo; echo "$k missing $s $m $d")sh";

// What the agent may know of the session's environment; the rest of it is none of its business.
constexpr std::array variables{"HOME",
                               "USER",
                               "LOGNAME",
                               "SHELL",
                               "PATH",
                               "LANG",
                               "TMPDIR",
                               "XDG_DATA_HOME",
                               "XDG_CONFIG_HOME",
                               "XDG_RUNTIME_DIR",
                               "LOCALD_LEASE",
                               "DBUS_SESSION_BUS_ADDRESS",
                               "DOCKER_CONFIG",
                               "REGISTRY_AUTH_FILE",
                               "SSL_CERT_FILE",
                               "SSL_CERT_DIR",
                               "http_proxy",
                               "https_proxy",
                               "no_proxy",
                               "all_proxy",
                               "HTTP_PROXY",
                               "HTTPS_PROXY",
                               "NO_PROXY",
                               "ALL_PROXY"};

// Both programs come in one stream. The file is cut, and not the stream: head reads ahead. Each program gets its name
// by rename(2), which is harmless whoever does it at the same time, and locald last, because it is what is started.
constexpr std::string_view upload_script =
    R"sh(k=$1; i=$2; h=$3; n=$4; g=$5; o=$6; t=$d/.new-$7; umask 077; c() { rm -rf "$t"; }; )sh"
    R"sh(f() { echo; echo "$k failed $1"; exit 1; }; trap c EXIT; trap "exit 1" HUP INT TERM PIPE; )sh"
    R"sh({ mkdir -p "$d" && mkdir "$t"; } || f directory; )sh"
    R"sh(cat >"$t/both" || f write; [ "$(wc -c <"$t/both")" -eq $((n+o)) ] || f length; )sh"
    R"sh({ head -c "$n" "$t/both" >"$t/locald" && tail -c "$o" "$t/both" >"$t/locald-shim" && rm "$t/both"; } || f write; )sh"
    R"sh({ x=$(sha256sum <"$t/locald") && y=$(sha256sum <"$t/locald-shim"); } || f sum; )sh"
    R"sh({ [ "${x%% *}" = "$h" ] && [ "${y%% *}" = "$g" ]; } || f sum; )sh"
    R"sh(chmod 755 "$t/locald" "$t/locald-shim" || f write; sync "$t/locald" "$t/locald-shim" 2>/dev/null || sync; )sh"
    R"sh({ "$t/locald" version >/dev/null && "$t/locald-shim" --version >/dev/null; } || f run; )sh"
    R"sh({ mkdir -p "$d/$i" && mv -f "$t/locald-shim" "$t/locald" "$d/$i/"; } || f place; touch "$d/$i"; )sh"
    R"sh(sync "$d/$i" 2>/dev/null || sync; echo; echo "$k placed"; )sh"
    // The newest two stay, and what a process runs.
    R"sh(u=$(ls -l /proc/[0-9]*/exe 2>/dev/null); q=0; for x in $(ls -1t "$d"); do [ ${#x} -eq 64 ] || continue; )sh"
    R"sh(q=$((q+1)); [ $q -gt 2 ] || continue; case $u in *"/agents/$x/"*) continue;; esac; rm -rf "$d/$x"; done; )sh"
    R"sh(find "$d" -maxdepth 1 -name ".new-*" -mmin +1440 -exec rm -rf {} + 2>/dev/null)sh";

/// One word that needs no quotes in any shell.
std::string plain(std::string_view word) {
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    if (word.empty() || word.find_first_not_of(allowed) != std::string_view::npos) {
        throw Error(ErrorKind::invalid, "pass a word to a shell of another host: " + json_quote(word));
    }
    return " " + std::string(word);
}

std::string command(const std::string& script) { return "sh -c '" + script + "' locald"; }

}  // namespace

std::string start_command(std::string_view mark, const std::vector<GuestPair>& pairs, AgentMode mode) {
    std::string script = std::string(find_directory).append(start_script);
    for (const char* name : variables) {
        // One word where the variable is set, none where it is not.
        script.append(" ${").append(name).append("+\"").append(name).append("=$").append(name).append("\"}");
    }
    script.append(R"sh( "$p/locald" agent)sh").append(mode == AgentMode::bulk ? " --bulk" : " --stdio");
    std::string line = command(script.append(start_script_end)) + plain(mark);
    for (const auto& pair : pairs) {
        line += plain(pair.machine) + plain(pair.id) + plain(std::to_string(pair.locald.size)) +
                plain(std::to_string(pair.shim.size));
    }
    return line;
}

std::string upload_command(std::string_view mark, const GuestPair& pair, std::string_view token) {
    return command(std::string(find_directory).append(upload_script)) + plain(mark) + plain(pair.id) +
           plain(pair.locald.sha256) + plain(std::to_string(pair.locald.size)) + plain(pair.shim.sha256) +
           plain(std::to_string(pair.shim.size)) + plain(token);
}

std::optional<ScriptAnswer> parse_answer(std::string_view line, std::string_view mark) {
    if (!line.starts_with(mark)) return std::nullopt;
    line.remove_prefix(mark.size());
    if (line.ends_with('\r')) line.remove_suffix(1);
    auto words = split(line, ' ');
    if (words.size() < 2 || !words[0].empty() || words[1].empty()) return std::nullopt;
    return ScriptAnswer{std::string(words[1]), {words.begin() + 2, words.end()}};
}

}  // namespace locald::backends
