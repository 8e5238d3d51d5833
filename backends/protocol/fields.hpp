#pragma once

// Writes and reads the members of a value by one list of them.

#include <nlohmann/json.hpp>

#include <concepts>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/error.hpp"

namespace locald::protocol {

/// How many values an enumeration that crosses has; they begin at 0.
template <class E>
inline constexpr int enum_count = 0;

template <class T, class Value>
concept Is = std::same_as<std::remove_const_t<T>, Value>;

/// Calls `list(fields, value)`, which names each member once: `fields("id", value.id)`.
class FieldWriter {
public:
    template <class T>
    void operator()(const char* name, const T& value) {
        json[name] = write(value);
    }
    nlohmann::json json = nlohmann::json::object();

private:
    template <class T>
    static nlohmann::json write(const T& value) {
        if constexpr (std::is_enum_v<T>) {
            return static_cast<int>(value);
        } else if constexpr (requires { fields_of(std::declval<FieldWriter&>(), value); }) {
            FieldWriter inner;
            fields_of(inner, value);
            return std::move(inner.json);
        } else {
            return value;
        }
    }
    template <class T>
    static nlohmann::json write(const std::optional<T>& value) {
        return value ? write(*value) : nlohmann::json();
    }
    template <class T>
    static nlohmann::json write(const std::vector<T>& values) {
        auto list = nlohmann::json::array();
        for (const auto& value : values) list.push_back(write(value));
        return list;
    }
};

class FieldReader {
public:
    explicit FieldReader(const nlohmann::json& json) : json_(json) {
        if (!json.is_object()) throw Error(ErrorKind::corrupt, "expected an object");
    }

    template <class T>
    void operator()(const char* name, T& value) {
        const auto found = json_.find(name);
        if (found == json_.end()) throw Error(ErrorKind::corrupt, std::string("member ") + name + " is missing");
        ++seen_;
        try {
            read(*found, value);
        } catch (const nlohmann::json::exception&) {
            throw Error(ErrorKind::corrupt, std::string("member ") + name + " has the wrong type");
        } catch (Error& e) {
            e.add_context(std::string("member ") + name);
            throw;
        }
    }
    /// @throws Error(corrupt) when there was a member that nobody asked for
    void finish() const {
        if (json_.size() != seen_) throw Error(ErrorKind::corrupt, "there are members that this version does not know");
    }

private:
    template <class T>
    static void read(const nlohmann::json& json, T& value) {
        if constexpr (std::is_enum_v<T>) {
            static_assert(enum_count<T> > 0);
            int number = 0;
            read(json, number);
            if (number < 0 || number >= enum_count<T>) throw Error(ErrorKind::corrupt, "it is none of its values");
            value = static_cast<T>(number);
        } else if constexpr (std::is_same_v<T, bool>) {
            value = json.get_ref<const nlohmann::json::boolean_t&>();
        } else if constexpr (std::is_integral_v<T>) {
            // get<T> would cut a number that does not fit.
            const bool fits = json.is_number_unsigned()
                                  ? std::in_range<T>(json.get<nlohmann::json::number_unsigned_t>())
                                  : json.is_number_integer() && std::in_range<T>(json.get<std::int64_t>());
            if (!fits) throw Error(ErrorKind::corrupt, "it is no number that fits");
            value = json.get<T>();
        } else if constexpr (requires { fields_of(std::declval<FieldReader&>(), value); }) {
            FieldReader inner(json);
            fields_of(inner, value);
            inner.finish();
        } else {
            json.get_to(value);
        }
    }
    template <class T>
    static void read(const nlohmann::json& json, std::optional<T>& value) {
        if (json.is_null()) {
            value.reset();
        } else {
            read(json, value.emplace());
        }
    }
    template <class T>
    static void read(const nlohmann::json& json, std::vector<T>& values) {
        values.clear();
        for (const auto& one : json.get_ref<const nlohmann::json::array_t&>()) read(one, values.emplace_back());
    }

    const nlohmann::json& json_;
    std::size_t seen_ = 0;
};

template <class T>
nlohmann::json write_fields(const T& value) {
    FieldWriter writer;
    fields_of(writer, value);
    return std::move(writer.json);
}

template <class T>
T read_fields(const nlohmann::json& json) {
    FieldReader reader(json);
    T value;
    fields_of(reader, value);
    reader.finish();
    return value;
}

}  // namespace locald::protocol
