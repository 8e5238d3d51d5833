#pragma once

#include <memory>

namespace locald::host {

/// Size in character cells.
struct TerminalSize {
    unsigned rows = 0, columns = 0;
    bool operator==(const TerminalSize&) const = default;
};

bool is_terminal(int fd) noexcept;
/// 24×80 when `fd` is no terminal or does not say.
TerminalSize terminal_size(int fd) noexcept;
void set_terminal_size(int fd, TerminalSize size);

/// Puts a terminal into raw mode and puts back what was there when destroyed, also through restore() from a signal
/// handler.
class RawMode {
public:
    /// Does nothing when `fd` is no terminal.
    explicit RawMode(int fd);
    ~RawMode();
    RawMode(const RawMode&) = delete;
    RawMode& operator=(const RawMode&) = delete;
    void restore() noexcept;

private:
    struct Saved;
    std::unique_ptr<Saved> saved_;
};

/// A pseudo terminal: the master side stays here, the slave side goes to the process. Both are descriptors the caller
/// closes.
struct PtyPair {
    int master = -1, slave = -1;
};
PtyPair open_pty(TerminalSize size);

}  // namespace locald::host
