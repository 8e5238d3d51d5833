#include "shim/cgroup/systemd/dbus_wire.hpp"

#include "core/base/error.hpp"

namespace locald::shim {

namespace {

constexpr int deepest = 32;
constexpr std::size_t fixed_header = 16;
// The protocol allows 128 MiB, of which a peer could make a hundred times that in values; what systemd tells us is
// short.
constexpr std::size_t most_bytes = 1U << 20U;

enum Field : std::uint8_t {
    path_field = 1,
    interface_field,
    member_field,
    error_field,
    reply_field,
    destination_field
};
constexpr std::uint8_t signature_field = 8;

[[noreturn]] void corrupt(const char* what) { throw Error(ErrorKind::corrupt, std::string("D-Bus message: ") + what); }

std::size_t alignment_of(char type) {
    switch (type) {
        case 'y':
        case 'g':
        case 'v':
            return 1;
        case 'n':
        case 'q':
            return 2;
        case 'x':
        case 't':
        case 'd':
        case '(':
        case '{':
            return 8;
        default:
            return 4;
    }
}

/// Bytes of a number; 0 for other types.
std::size_t width_of(char type) {
    switch (type) {
        case 'y':
            return 1;
        case 'n':
        case 'q':
            return 2;
        case 'b':
        case 'i':
        case 'u':
        case 'h':
            return 4;
        case 'x':
        case 't':
        case 'd':
            return 8;
        default:
            return 0;
    }
}

std::size_t type_length(std::string_view signature, int depth, bool in_array = false) {
    if (signature.empty() || depth > deepest) return 0;
    const char type = signature.front();
    if (type == 'a') {
        const std::size_t element = type_length(signature.substr(1), depth + 1, true);
        return element == 0 ? 0 : element + 1;
    }
    if (type != '(' && !(type == '{' && in_array)) {
        return std::string_view("ybnqiuxtdsogvh").find(type) == std::string_view::npos ? 0 : 1;
    }
    const char closing = type == '(' ? ')' : '}';
    std::size_t at = 1, members = 0;
    while (at < signature.size() && signature[at] != closing) {
        const std::size_t member = type_length(signature.substr(at), depth + 1);
        if (member == 0) return 0;
        at += member;
        ++members;
    }
    if (at == signature.size() || members == 0) return 0;
    // An entry of a dictionary: a key of one basic type, and one value.
    const char key = signature[1];
    const bool basic = width_of(key) != 0 || key == 's' || key == 'o' || key == 'g';
    return type == '(' || (members == 2 && basic) ? at + 1 : 0;
}

class Writer {
public:
    void align(std::size_t to) { bytes_.resize((bytes_.size() + to - 1) / to * to, '\0'); }
    void number(std::uint64_t value, std::size_t width) {
        align(width);
        for (std::size_t i = 0; i < width; ++i) bytes_.push_back(static_cast<char>((value >> (8 * i)) & 0xFFU));
    }
    void signature(std::string_view text) {
        number(text.size(), 1);
        bytes_.append(text).push_back('\0');
    }
    void string(std::string_view text) {
        number(text.size(), 4);
        bytes_.append(text).push_back('\0');
    }
    void value(const DbusValue& value) {
        const char type = value.signature.front();
        if (const std::size_t width = width_of(type); width != 0) return number(value.number, width);
        if (type == 's' || type == 'o') return string(value.text);
        if (type == 'g') return signature(value.text);
        if (type == 'v') {
            signature(value.items.front().signature);
            return this->value(value.items.front());
        }
        if (type != 'a') {
            align(8);
            for (const auto& item : value.items) this->value(item);
            return;
        }
        number(0, 4);
        const std::size_t length_at = bytes_.size() - 4;
        align(alignment_of(value.signature[1]));  // not counted in the length
        const std::size_t start = bytes_.size();
        for (const auto& item : value.items) this->value(item);
        put_length(length_at, bytes_.size() - start);
    }
    void put_length(std::size_t at, std::size_t length) {
        for (std::size_t i = 0; i < 4; ++i) bytes_[at + i] = static_cast<char>((length >> (8 * i)) & 0xFFU);
    }
    std::string take() { return std::move(bytes_); }
    std::size_t size() const noexcept { return bytes_.size(); }

private:
    std::string bytes_;
};

class Reader {
public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}

    std::size_t at() const noexcept { return at_; }
    void align(std::size_t to) { need(((at_ + to - 1) / to * to) - at_); }
    std::uint64_t number(std::size_t width) {
        align(width);
        const std::string_view raw = need(width);
        std::uint64_t value = 0;
        for (std::size_t i = width; i-- > 0;) value = value << 8U | static_cast<std::uint8_t>(raw[i]);
        return value;
    }
    std::string text(std::size_t length_width) {
        const std::size_t length = number(length_width);
        std::string result(need(length));
        if (need(1) != std::string_view("\0", 1)) corrupt("a string without its end");
        return result;
    }
    DbusValue value(std::string_view signature, int depth = 0) {
        if (depth > deepest) corrupt("nested too deeply");
        DbusValue result;
        result.signature = signature;
        const char type = signature.front();
        if (const std::size_t width = width_of(type); width != 0) {
            result.number = number(width);
        } else if (type == 's' || type == 'o') {
            result.text = text(4);
        } else if (type == 'g') {
            result.text = text(1);
        } else if (type == 'v') {
            const std::string inner = text(1);
            if (inner.empty() || first_type_length(inner) != inner.size()) corrupt("a variant without one type");
            result.items.push_back(value(inner, depth + 1));
        } else if (type == 'a') {
            const std::size_t length = number(4);
            align(alignment_of(signature[1]));
            const std::size_t end = at_ + length;
            if (length > bytes_.size() - at_) corrupt("an array longer than the message");
            while (at_ < end) result.items.push_back(value(signature.substr(1), depth + 1));
            if (at_ != end) corrupt("an array that ends within an element");
        } else {
            align(8);
            std::string_view members = signature.substr(1, signature.size() - 2);
            while (!members.empty()) {
                const std::size_t length = first_type_length(members);
                if (length == 0) corrupt("a bad signature");
                result.items.push_back(value(members.substr(0, length), depth + 1));
                members.remove_prefix(length);
            }
        }
        return result;
    }

private:
    std::string_view need(std::size_t count) {
        if (count > bytes_.size() - at_) corrupt("ends too early");
        at_ += count;
        return bytes_.substr(at_ - count, count);
    }
    std::string_view bytes_;
    std::size_t at_ = 0;
};

void add_field(std::vector<DbusValue>& fields, std::uint8_t code, const char* type, const std::string& text) {
    if (text.empty()) return;
    DbusValue byte{"y", code, {}, {}};
    DbusValue inner{type, 0, text, {}};
    fields.push_back(DbusValue::tuple({byte, DbusValue::variant(inner)}));
}

void take_field(DbusMessage& message, std::string& signature, const DbusValue& field) {
    const DbusValue& value = field.items[1].items.front();
    switch (field.items[0].number) {
        case path_field:
            message.path = value.text;
            break;
        case interface_field:
            message.interface = value.text;
            break;
        case member_field:
            message.member = value.text;
            break;
        case error_field:
            message.error_name = value.text;
            break;
        case reply_field:
            message.reply_serial = static_cast<std::uint32_t>(value.number);
            break;
        case destination_field:
            message.destination = value.text;
            break;
        case signature_field:
            signature = value.text;
            break;
        default:
            break;  // the sender, and what later versions of the protocol add
    }
}

}  // namespace

DbusValue DbusValue::boolean(bool value) { return {"b", value ? 1U : 0U, {}, {}}; }
DbusValue DbusValue::u32(std::uint32_t value) { return {"u", value, {}, {}}; }
DbusValue DbusValue::u64(std::uint64_t value) { return {"t", value, {}, {}}; }
DbusValue DbusValue::string(std::string value) { return {"s", 0, std::move(value), {}}; }
DbusValue DbusValue::variant(DbusValue value) { return {"v", 0, {}, {std::move(value)}}; }
DbusValue DbusValue::array(std::string element_signature, std::vector<DbusValue> items) {
    return {"a" + element_signature, 0, {}, std::move(items)};
}
DbusValue DbusValue::tuple(std::vector<DbusValue> items) {
    std::string signature = "(";
    for (const auto& item : items) signature += item.signature;
    return {signature + ")", 0, {}, std::move(items)};
}

std::size_t first_type_length(std::string_view signature) { return type_length(signature, 0); }

std::string encode(const DbusMessage& message) {
    Writer body;
    std::string signature;
    for (const auto& value : message.body) {
        signature += value.signature;
        body.value(value);
    }
    std::vector<DbusValue> fields;
    add_field(fields, path_field, "o", message.path);
    add_field(fields, interface_field, "s", message.interface);
    add_field(fields, member_field, "s", message.member);
    add_field(fields, error_field, "s", message.error_name);
    add_field(fields, destination_field, "s", message.destination);
    add_field(fields, signature_field, "g", signature);
    if (message.reply_serial != 0) {
        fields.push_back(DbusValue::tuple(
            {DbusValue{"y", reply_field, {}, {}}, DbusValue::variant(DbusValue::u32(message.reply_serial))}));
    }
    Writer whole;
    whole.number('l', 1);
    whole.number(message.type, 1);
    whole.number(message.flags, 1);
    whole.number(1, 1);
    whole.number(body.size(), 4);
    whole.number(message.serial, 4);
    whole.value(DbusValue::array("(yv)", std::move(fields)));
    whole.align(8);
    return whole.take() + body.take();
}

std::size_t message_length(std::string_view bytes) {
    if (bytes.size() < fixed_header) return 0;
    if (bytes[0] != 'l' || bytes[3] != 1) corrupt("of another byte order or version");
    Reader reader(bytes.substr(0, fixed_header));
    reader.number(4);
    const std::uint64_t body = reader.number(4);
    reader.number(4);
    const std::uint64_t fields = reader.number(4);
    const std::uint64_t length = fixed_header + (fields + 7) / 8 * 8 + body;
    if (length > most_bytes) corrupt("too long");
    return length;
}

DbusMessage decode(std::string_view bytes) {
    const std::size_t length = message_length(bytes);
    if (length == 0 || length > bytes.size()) corrupt("ends too early");
    DbusMessage message;
    Reader reader(bytes.substr(0, length));
    reader.number(1);
    message.type = static_cast<std::uint8_t>(reader.number(1));
    message.flags = static_cast<std::uint8_t>(reader.number(1));
    reader.number(1);
    reader.number(4);
    message.serial = static_cast<std::uint32_t>(reader.number(4));
    std::string signature;
    for (const auto& field : reader.value("a(yv)").items) take_field(message, signature, field);
    reader.align(8);
    // Offsets inside the body count from its own start, and that is a multiple of 8.
    std::string_view rest = signature;
    while (!rest.empty()) {
        const std::size_t one = first_type_length(rest);
        if (one == 0) corrupt("a bad signature");
        message.body.push_back(reader.value(rest.substr(0, one)));
        rest.remove_prefix(one);
    }
    return message;
}

}  // namespace locald::shim
