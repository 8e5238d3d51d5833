#include "core/registry/status.hpp"

#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/registry/retry.hpp"

namespace locald::registry {
namespace {

constexpr std::size_t largest_error_body = 64U << 10U;
constexpr std::size_t longest_words = 200;

std::string one_line(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, longest_words)) out.push_back(c >= ' ' && c != 0x7f ? c : ' ');
    return std::string(trim(out));
}

std::string text_of(const nlohmann::json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

bool is_transient_status(int status) noexcept {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

bool is_redirect(int status) noexcept {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string error_words(Response& response, const CancelToken& cancel) {
    std::string body;
    try {
        body = response.read_text(largest_error_body, "error", cancel);
    } catch (const Error& e) {
        if (e.kind() == ErrorKind::cancelled) throw;
        return {};
    }
    const auto document = nlohmann::json::parse(body, nullptr, false);
    if (!document.is_object()) return {};
    const auto errors = document.find("errors");
    if (errors != document.end() && errors->is_array() && !errors->empty() && errors->front().is_object()) {
        const std::string message = text_of(errors->front(), "message");
        return one_line(message.empty() ? text_of(errors->front(), "code") : message);
    }
    for (const char* name : {"details", "error_description", "message", "error"}) {
        if (const std::string words = text_of(document, name); !words.empty()) return one_line(words);
    }
    return {};
}

void throw_transient(Response& response, std::string_view what, const CancelToken& cancel) {
    const int status = response.status();
    const auto wait = parse_retry_after(response.header("Retry-After").value_or(""));
    const std::string words = error_words(response, cancel);
    Error error(ErrorKind::unavailable, std::string(what) + ": " + response.url().origin.str() + " answered " +
                                            std::to_string(status) + (words.empty() ? "" : ": " + words));
    if (status == 429) {
        const std::string when = wait ? "in " + std::to_string(wait->count()) + " s" : "later";
        error.with_remedy("too many requests: try again " + when +
                          ", or log in, which raises the limit of many registries");
    } else {
        error.with_remedy("the server has a fault of its own; try again later");
    }
    throw Transient(std::move(error), wait);
}

}  // namespace locald::registry
