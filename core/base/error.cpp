#include "core/base/error.hpp"

#include <array>
#include <cerrno>
#include <system_error>

#include "core/base/text.hpp"

namespace locald {

namespace {

struct KindName {
    ErrorKind kind;
    std::string_view name;
};

constexpr std::array kind_names{
    KindName{ErrorKind::invalid, "invalid"},
    KindName{ErrorKind::not_found, "not_found"},
    KindName{ErrorKind::exists, "exists"},
    KindName{ErrorKind::denied, "denied"},
    KindName{ErrorKind::unsupported, "unsupported"},
    KindName{ErrorKind::unsupported_platform, "unsupported_platform"},
    KindName{ErrorKind::unavailable, "unavailable"},
    KindName{ErrorKind::lost, "lost"},
    KindName{ErrorKind::cancelled, "cancelled"},
    KindName{ErrorKind::corrupt, "corrupt"},
    KindName{ErrorKind::no_space, "no_space"},
    KindName{ErrorKind::not_executable, "not_executable"},
    KindName{ErrorKind::command_not_found, "command_not_found"},
    KindName{ErrorKind::system, "system"},
};

}  // namespace

std::string_view to_string(ErrorKind kind) noexcept {
    for (const auto& entry : kind_names) {
        if (entry.kind == kind) return entry.name;
    }
    return "system";
}

ErrorKind error_kind_from(std::string_view name) noexcept {
    for (const auto& entry : kind_names) {
        if (entry.name == name) return entry.kind;
    }
    return ErrorKind::system;
}

Error::Error(ErrorKind kind, std::string message, int os_errno)
    : std::runtime_error(message), kind_(kind), errno_(os_errno), message_(std::move(message)), line_(message_) {}

Error& Error::add_context(std::string_view step) {
    message_.insert(0, std::string(step) + ": ");
    rebuild();
    return *this;
}

Error& Error::with_remedy(std::string remedy) {
    if (remedy_.empty()) {
        remedy_ = std::move(remedy);
        rebuild();
    }
    return *this;
}

std::string Error::to_json() const {
    std::string json = "{\"kind\":" + json_quote(to_string(kind_)) + ",\"message\":" + json_quote(message_);
    if (errno_ != 0) json += ",\"errno\":" + std::to_string(errno_);
    if (!remedy_.empty()) json += ",\"remedy\":" + json_quote(remedy_);
    return json + "}";
}

void Error::rebuild() {
    line_ = message_;
    if (!remedy_.empty()) line_ += "; " + remedy_;
}

ErrorKind kind_of_errno(int err) noexcept {
    switch (err) {
        case ENOENT:
        case ESRCH:
            return ErrorKind::not_found;
        case EEXIST:
            return ErrorKind::exists;
        case EACCES:
        case EPERM:
        case EROFS:
            return ErrorKind::denied;
        case ENOSYS:
        case EOPNOTSUPP:
            return ErrorKind::unsupported;
        case ENOSPC:
        case EDQUOT:
            return ErrorKind::no_space;
        case ECONNREFUSED:
        case EAGAIN:
        case ETIMEDOUT:
        case EHOSTUNREACH:
        case ENETUNREACH:
            return ErrorKind::unavailable;
        case ECANCELED:
            return ErrorKind::cancelled;
        default:
            return ErrorKind::system;
    }
}

std::string errno_text(int err) { return std::generic_category().message(err); }

int exit_code_of(const Error& error) noexcept {
    switch (error.kind()) {
        case ErrorKind::not_executable:
            return 126;
        case ErrorKind::command_not_found:
            return 127;
        default:
            return 125;
    }
}

}  // namespace locald
