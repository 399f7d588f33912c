//! The records of the programs, for the fuzzer.
//!
//! In: bytes, as the windows hold them. Out: nothing; a panic is a finding. Pure: no I/O.

use probelet_core::facts::{Facts, Process};

use super::records::{self, Sock};

/// The first byte says which record the rest are.
pub(crate) fn records(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let mut facts = Facts::default();
    match kind % 5 {
        0 => each(bytes, |words| {
            let visit = records::visit(words, 4096);
            let Process { comm, .. } = visit.process;
            assert!(!comm.to_string().contains(char::is_control), "{comm:?}");
            facts.processes.push(visit.process);
        }),
        1 => each(bytes, |words| {
            let (netns, _) = records::netns(words);
            assert!(netns.ports.is_none_or(|ports| ports.0 <= ports.1), "{:?}", netns.ports);
            facts.netns.push(netns);
        }),
        2 => each(bytes, |words| match records::sock(words) {
            Ok(Sock::Open(socket, _)) => facts.sockets.push(socket),
            Ok(Sock::Closed(closed, ..)) => facts.closed.push(closed),
            Err(_) => {}
        }),
        3 => each(bytes, |words| {
            _ = records::look(words, true);
            _ = records::look(words, false);
        }),
        _ => each::<2>(bytes, |&[hash, buckets]| {
            #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
            let found = records::head(hash as u32, buckets);
            assert!(found.is_none_or(
                |(block, word, _)| block < records::HEADS && word < records::HEAD_WORDS
            ));
        }),
    }
    crate::fuzz::reported(facts);
}

/// Each whole record of so many words.
fn each<const WORDS: usize>(bytes: &[u8], mut see: impl FnMut(&[u64; WORDS])) {
    for record in bytes.chunks_exact(WORDS * 8) {
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(record.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        see(&words);
    }
}
