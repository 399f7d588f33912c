//! The files of control groups, for the fuzzer. In: their bytes. Out: nothing; a panic is a finding. Pure: no I/O.

use super::usage::{self, Text};

/// A file with one number, and one with lines.
pub(crate) fn usage(data: &[u8]) {
    for kind in [Text::Number, Text::CpuStat] {
        _ = usage::parse(data, kind);
    }
}
