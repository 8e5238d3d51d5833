#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace locald::testing {

/// Makes archives in memory, wrong ones as well: every field of a header can be said.
class TarBuilder {
public:
    struct Entry {
        std::string name;
        char type = '0';
        std::string content = {};
        std::string link = {};
        unsigned mode = 0644;
        unsigned uid = 0, gid = 0;
        long long size = -1;  ///< -1: that of the content
        long long mtime = 1'000'000'000;
        unsigned major = 0, minor = 0;
        std::string magic = std::string("ustar\00000", 8);
        bool wrong_checksum = false;
    };

    TarBuilder& add(const Entry& entry) {
        std::array<char, 512> block{};
        std::memcpy(block.data(), entry.name.data(), std::min<std::size_t>(entry.name.size(), 100));
        number(block, 100, 8, entry.mode);
        number(block, 108, 8, entry.uid);
        number(block, 116, 8, entry.gid);
        number(block, 124, 12, entry.size < 0 ? entry.content.size() : static_cast<unsigned long long>(entry.size));
        number(block, 136, 12, static_cast<unsigned long long>(entry.mtime));
        block[156] = entry.type;
        std::memcpy(block.data() + 157, entry.link.data(), std::min<std::size_t>(entry.link.size(), 100));
        std::memcpy(block.data() + 257, entry.magic.data(), entry.magic.size());
        number(block, 329, 8, entry.major);
        number(block, 337, 8, entry.minor);
        return raw(block, entry.wrong_checksum).data(entry.content);
    }
    TarBuilder& file(const std::string& name, const std::string& content, unsigned mode = 0644) {
        Entry entry{name};
        entry.content = content;
        entry.mode = mode;
        return add(entry);
    }
    TarBuilder& directory(const std::string& name, unsigned mode = 0755) {
        Entry entry{name, '5'};
        entry.mode = mode;
        return add(entry);
    }
    TarBuilder& symlink(const std::string& name, const std::string& target) {
        Entry entry{name, '2'};
        entry.link = target;
        return add(entry);
    }
    TarBuilder& hard_link(const std::string& name, const std::string& target) {
        Entry entry{name, '1'};
        entry.link = target;
        return add(entry);
    }
    TarBuilder& pax(const std::vector<std::pair<std::string, std::string>>& records, char type = 'x') {
        std::string text;
        for (const auto& [key, value] : records) {
            const std::string rest = " " + key + "=" + value + "\n";
            std::size_t length = rest.size() + 1;
            while (std::to_string(length).size() + rest.size() != length) ++length;
            text += std::to_string(length) + rest;
        }
        Entry entry{"pax", type};
        entry.content = text;
        return add(entry);
    }
    /// A finished header block whose checksum is put in here.
    TarBuilder& raw(std::array<char, 512> block, bool wrong_checksum = false) {
        std::memset(block.data() + 148, ' ', 8);
        unsigned long long sum = wrong_checksum ? 1 : 0;
        for (const char c : block) sum += static_cast<unsigned char>(c);
        number(block, 148, 7, sum);
        bytes_.append(block.data(), block.size());
        return *this;
    }
    /// Bytes filled up to a whole block.
    TarBuilder& data(std::string_view content) {
        bytes_.append(content);
        bytes_.append((512 - bytes_.size() % 512) % 512, '\0');
        return *this;
    }
    /// The archive without its end blocks.
    const std::string& open_end() const { return bytes_; }
    std::string bytes() const { return bytes_ + std::string(1024, '\0'); }

    static void number(std::array<char, 512>& block, std::size_t at, std::size_t width, unsigned long long value) {
        std::array<char, 32> text{};
        std::snprintf(text.data(), text.size(), "%0*llo", static_cast<int>(width) - 1, value);
        std::memcpy(block.data() + at, text.data(), width - 1);
    }

private:
    std::string bytes_;
};

}  // namespace locald::testing
