#include "backends/ssh/bootstrap.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>

#include "backends/protocol/timing.hpp"
#include "backends/protocol/values.hpp"
#include "backends/ssh/bootstrap_script.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"

namespace locald::backends {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto upload_most = 10min;
// What profiles may print before the first word of ours.
constexpr std::size_t noise_most = 1U << 20U;
constexpr std::size_t noise_kept = 400;

std::string random_hex() {
    std::random_device random;
    std::string text;
    for (int i = 0; i < 16; ++i) text += "0123456789abcdef"[random() & 15U];
    return text;
}

/// What the other side said, made fit for one line of ours.
std::string said(std::string_view text) {
    text = trim(text);
    if (text.size() > noise_kept) text.remove_prefix(text.size() - noise_kept);
    std::string line;
    for (const auto part : split(text, '\n')) {
        if (!trim(part).empty()) line.append(line.empty() ? "" : " / ").append(trim(part));
    }
    return protocol::without_escapes(line);
}

/// The first answer on a channel, taken off it to the last byte, and what was printed before.
struct First {
    std::optional<ScriptAnswer> answer;
    std::string noise;
    bool ended = false;
};

First read_first(int handle, std::string_view mark, Clock::time_point end) {
    First first;
    std::string line;
    // Byte by byte, because what follows the answer is for somebody else.
    for (std::size_t passed = 0; passed < noise_most;) {
        char byte = 0;
        const auto got = ::recv(handle, &byte, 1, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
            pollfd entry{handle, POLLIN, 0};
            if (left <= 0ms || ::poll(&entry, 1, static_cast<int>(left.count())) == 0) break;
            continue;
        }
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            first.ended = true;
            break;
        }
        ++passed;
        if (byte != '\n') {
            line += byte;
            continue;
        }
        first.answer = parse_answer(line, mark);
        if (first.answer) return first;
        first.noise.append(line).append("\n");
        line.clear();
    }
    first.noise += line;
    return first;
}

/// What came instead of an answer, as an Error of the stage.
Error no_answer(const std::string& stage, const std::string& host, SshChannel& channel, const First& first) {
    RemoteExit exit;
    if (first.ended) exit = channel.wait(1s).value_or(exit);
    const auto words = said(exit.err + "\n" + first.noise);
    if (first.ended && !exit.known && words.empty()) {
        return {ErrorKind::lost, stage + " on " + host + ": the connection was lost"};
    }
    Error error(ErrorKind::unavailable, "");
    if (!first.ended) {
        error = Error(ErrorKind::unavailable, stage + " on " + host + ": no answer in time, or too much before it" +
                                                  (words.empty() ? "" : "; it said: " + words));
    } else {
        error = Error(ErrorKind::unavailable,
                      stage + " on " + host + ": " +
                          (words.empty() ? "the login shell ended without a word" : "it said: " + words) +
                          (exit.known && exit.code != 0 ? " (status " + std::to_string(exit.code) + ")" : ""));
    }
    return error.with_remedy("see what `ssh ssh://" + host +
                             " sh -c true` does: it must run without a question, by a login "
                             "shell that can start sh");
}

std::string joined(const std::vector<std::string>& words, std::size_t from) {
    std::string text;
    for (std::size_t at = from; at < words.size(); ++at) text.append(at == from ? "" : " ").append(words[at]);
    return protocol::without_escapes(text);
}

/// The pair for what `missing` says of the machine. @throws Error when there is none
const GuestPair& pair_for(const ScriptAnswer& missing, const std::string& host, const std::vector<GuestPair>& pairs) {
    const std::string system = missing.rest.empty() ? "" : missing.rest[0];
    const std::string machine = missing.rest.size() < 2 ? "" : missing.rest[1];
    const std::string there = protocol::without_escapes(system + " on " + machine);
    if (system != "Linux") {
        throw Error(ErrorKind::unsupported_platform, "use " + host + ": it is " + there + ", and containers need Linux")
            .with_remedy("name a Linux host");
    }
    const auto found =
        std::find_if(pairs.begin(), pairs.end(), [&](const GuestPair& pair) { return pair.machine == machine; });
    if (found != pairs.end()) return *found;
    const bool is_x64 = machine == "x86_64";
    if (!is_x64 && machine != "aarch64") {
        throw Error(ErrorKind::unsupported_platform, "use " + host + ": it is " + there)
            .with_remedy("locald runs on x86_64 and aarch64");
    }
    throw Error(ErrorKind::not_found, "put locald on " + host + ": it is " + there +
                                          ", and there is no static locald for it in " + guest_pair_directory())
        .with_remedy(std::string("build it: tools/cross-build linux-musl-") + (is_x64 ? "x64" : "arm64") +
                     "; an installed locald brings it when it was built before");
}

/// The kind and the remedy of a failed upload, by its stage and the words of the other side.
Error explain_upload(const std::string& stage, const std::string& host, const std::string& place,
                     const std::string& words) {
    const auto has = [&](const char* text) { return words.find(text) != std::string::npos; };
    const std::string what = "put locald on " + host + " in " + place + ": " + (words.empty() ? stage : words);
    if (has("No space left") || has("quota exceeded")) {
        return Error(ErrorKind::no_space, what)
            .with_remedy("free 30 MB there, or have XDG_DATA_HOME name a place with room in that host's sessions");
    }
    if (stage == "run" && has("ermission denied")) {
        return Error(ErrorKind::denied, what)
            .with_remedy(
                "that place is mounted noexec: have XDG_DATA_HOME name one that is not in that host's sessions");
    }
    if (has("ermission denied") || has("Read-only")) {
        return Error(ErrorKind::denied, what)
            .with_remedy(
                "make it writable for this user, or have XDG_DATA_HOME name a place that is in that host's sessions");
    }
    if (stage == "run") {
        return Error(ErrorKind::unsupported, what)
            .with_remedy("try the program there by hand: its kernel may be too old");
    }
    if (stage == "length" || stage == "sum") {
        return Error(ErrorKind::corrupt, what + ": not all of it arrived as it was sent").with_remedy("try again");
    }
    return Error(ErrorKind::system, what).with_remedy("see what the same does by hand there");
}

void upload(SshSession& session, const std::string& host, const GuestPair& pair, const std::string& place) {
    const auto bytes = read_guest_pair(pair);
    log(LogLevel::info,
        "put locald for " + pair.machine + " on " + host + " (" + std::to_string(bytes.size() / 1000000) + " MB)");
    const std::string mark = "locald-" + random_hex();
    const auto done = in_step("put locald on " + host, [&] {
        return session.capture(upload_command(mark, pair, random_hex()), bytes, upload_most);
    });
    for (const auto line : split(done.out, '\n')) {
        const auto answer = parse_answer(line, mark);
        if (!answer) continue;
        if (answer->word == "placed") return;
        const std::string stage = answer->rest.empty() ? "an unknown step" : answer->rest[0];
        throw explain_upload(stage, host, place, said(done.exit.err));
    }
    if (!done.exit.known) throw Error(ErrorKind::lost, "put locald on " + host + ": the connection was lost");
    throw explain_upload("the script ended", host, place, said(done.exit.err));
}

}  // namespace

SshChannel start_agent(SshSession& session, const std::string& host, const std::vector<GuestPair>& pairs,
                       AgentMode mode) {
    for (bool uploaded = false;; uploaded = true) {
        const std::string mark = "locald-" + random_hex();
        const auto answer_most = protocol::timing_between_hosts().greeting;
        auto channel = session.exec(start_command(mark, pairs, mode), answer_most);
        const auto first = read_first(channel.handle(), mark, Clock::now() + answer_most);
        if (!first.answer) throw no_answer("start a shell", host, channel, first);
        if (first.answer->word == "start") return channel;
        const std::string place = joined(first.answer->rest, 2);
        const auto& pair = pair_for(*first.answer, host, pairs);
        if (uploaded) {
            throw Error(
                ErrorKind::system,
                std::string("put locald on ").append(host).append(": it was there and is gone from ").append(place))
                .with_remedy("see who empties that directory");
        }
        upload(session, host, pair, place);
    }
}

Error explain_agent_end(const Error& error, const std::string& host, const RemoteExit& exit) {
    // What the agent or env said before it ended says more than that it ended.
    const auto words = said(exit.err);
    Error explained = error;
    if (exit.known && (exit.code == 126 || exit.code == 127)) {
        explained = Error(ErrorKind::not_executable, "start the agent on " + host + ": " + words)
                        .with_remedy(
                            "that place is mounted noexec, or holds something else: have XDG_DATA_HOME name "
                            "another one in that host's sessions");
    } else if (!words.empty()) {
        explained.add_context(words);
    }
    return explained;
}

}  // namespace locald::backends
