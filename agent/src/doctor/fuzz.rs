//! What the doctor reads, for the fuzzer. In: a text. Out: nothing; a panic is a finding. Pure: no I/O.

/// The text of `/proc/self/mounts`.
pub(crate) fn mounts(text: &str) {
    _ = crate::discover::mounts::parse(text);
}
