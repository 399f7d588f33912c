//! The answers of connection tracking, for the fuzzer.
//!
//! In: bytes, as the kernel sends them. Out: nothing; a panic is a finding. Pure: no I/O.

use super::message::{Reply, answer, question};
use probelet_core::facts::{Endpoint, Protocol};

/// An answer to the question with the number that it has itself.
pub(crate) fn answers(bytes: &[u8]) {
    let sequence =
        bytes.get(8..12).and_then(|four| four.try_into().ok()).map_or(0, u32::from_ne_bytes);
    match answer(bytes, sequence) {
        Reply::Refused(errno) => assert!(errno >= 0, "an errno is positive"),
        Reply::Entry(entry) => {
            // What was read is what would be asked about.
            let mut out = Vec::new();
            for (from, to) in [(entry.client, entry.service), (entry.backend, entry.seen)] {
                let canonical = |end: Endpoint| end.is_v4() == to.is_v4();
                question(&mut out, sequence, Protocol::Tcp, from, to);
                assert!(
                    !canonical(from) || out.len() == if to.is_v4() { 72 } else { 96 },
                    "{}",
                    out.len()
                );
            }
        }
        Reply::Other | Reply::Malformed => {}
    }
}
