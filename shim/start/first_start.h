#pragma once

/// The descriptor of the read-only mount that the second start was executed from, where the first one left it open.
enum { locald_program_mount = 63 };
