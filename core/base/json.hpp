#pragma once

// Reads JSON (RFC 8259) into values that point into its text: config.json is read at every start of a container and at
// every exec, and may hold megabytes. Nothing is copied but strings with escapes in them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace locald::json {

enum class Kind : std::uint8_t { null, boolean, number, string, array, object };

/// The deepest nesting of objects and lists that is read; what comes deeper is refused.
inline constexpr int max_depth = 128;

struct Member;

/// One value of a document; it lives as long as the Document and its text.
class Value {
public:
    Kind kind() const noexcept { return kind_; }
    bool is(Kind kind) const noexcept { return kind_ == kind; }
    /// As it stands in the text, quotes and brackets included.
    std::string_view raw() const noexcept { return {raw_, raw_size_}; }

    /// Each of these is for the kind of its name alone.
    bool boolean() const noexcept { return *raw_ == 't'; }
    /// Without quotes and escapes; UTF-8, and may hold NUL bytes (`\u0000`).
    std::string_view string() const noexcept { return {static_cast<const char*>(content_), count_}; }
    std::span<const Value> items() const noexcept { return {static_cast<const Value*>(content_), count_}; }
    /// In the order of the text. Of several with one name the last counts, as in most readers.
    std::span<const Member> members() const noexcept;

    /// A number without fraction and exponent that fits; nothing for every other value.
    std::optional<std::uint64_t> as_unsigned() const noexcept;
    std::optional<std::int64_t> as_signed() const noexcept;

private:
    friend class Parser;
    const char* raw_ = nullptr;
    const void* content_ = nullptr;  ///< the string's bytes, Values or Members
    std::uint32_t raw_size_ = 0, count_ = 0;
    Kind kind_ = Kind::null;
};

struct Member {
    std::string_view key;
    Value value;
};

inline std::span<const Member> Value::members() const noexcept {
    return {static_cast<const Member*>(content_), count_};
}

/// Appends the value without any blanks between its parts.
void append_compact(std::string& out, const Value& value);

class Document {
public:
    /// @param text  kept by the caller for as long as the document
    /// @throws Error(invalid): `not JSON at byte 12 (line 2, column 11): …`
    explicit Document(std::string_view text);
    const Value& root() const noexcept { return root_; }

private:
    friend class Parser;
    std::byte* room_for(std::size_t size);

    std::vector<std::unique_ptr<std::byte[]>> blocks_;
    std::byte* free_ = nullptr;
    std::size_t left_ = 0, next_block_ = 4096;
    Value root_;
};

}  // namespace locald::json
