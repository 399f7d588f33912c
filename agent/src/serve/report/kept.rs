//! The last whole report that was sent encoded, for readers who come while the budget has nothing for another one.
//!
//! In: the pieces of a report as they are sent. Out: all of them, once the last was sent, until they are too old. It must not keep what
//! is made for one reader alone, or more than [`MOST`] bytes.
//!
//! Sending what is kept costs a hundredth of rendering and compressing it. Readers who would be refused get a report that says in
//! its `Age` (RFC 9111 §5.1) how old it is.
//!
//! Pure: no I/O, no clock; time is an argument.

use super::encoding::Encoding;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Bytes of an encoded report: some 15,000 connections.
const MOST: usize = 1024 * 1024;
/// Older than that it is not sent: a refusal that says when to come again is more of use.
const LONGEST: Duration = Duration::from_mins(1);

/// A whole report.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) body: Bytes,
    pub(crate) encoding: Encoding,
    /// The `ETag` that it was sent with.
    pub(crate) tag: String,
    made: Instant,
}

impl Kept {
    /// How old it is, if it may still be sent to who takes this encoding.
    pub(crate) fn age(&self, encoding: Encoding, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.made);
        (self.encoding == encoding && age < LONGEST).then_some(age)
    }
}

/// A report that is being sent and may be kept.
#[derive(Debug)]
pub(crate) struct Keeping {
    body: Vec<u8>,
    encoding: Encoding,
    tag: String,
    began: Instant,
}

impl Keeping {
    /// Nothing for a report that is not encoded: it is ten times as long, and who reads it has time.
    pub(crate) fn new(encoding: Encoding, tag: &str, now: Instant) -> Option<Self> {
        let keeping = || Self { body: Vec::new(), encoding, tag: tag.to_owned(), began: now };
        (encoding != Encoding::Identity).then(keeping)
    }

    /// Takes in what is sent next; itself while it is not too much.
    pub(crate) fn and(mut self, piece: &[u8]) -> Option<Self> {
        if self.body.len() + piece.len() > MOST {
            return None;
        }
        self.body.extend_from_slice(piece);
        Some(self)
    }

    /// The last piece was sent.
    pub(crate) fn done(mut self) -> Kept {
        self.body.shrink_to_fit();
        let Self { body, encoding, tag, began } = self;
        Kept { body: body.into(), encoding, tag, made: began }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_or_in_another_encoding_is_not_sent() {
        let now = Instant::now();
        let keeping = Keeping::new(Encoding::Gzip, "W/\"1-1\"", now).unwrap();
        let kept = keeping.and(b"ab").and_then(|k| k.and(b"c")).unwrap().done();

        let three = Duration::from_secs(3);
        assert_eq!(
            (&*kept.body, kept.age(Encoding::Gzip, now + three)),
            (&b"abc"[..], Some(three))
        );
        assert_eq!(kept.age(Encoding::Zstd, now), None);
        assert_eq!(kept.age(Encoding::Gzip, now + LONGEST), None);
    }

    #[test]
    fn more_than_the_most_is_not_kept() {
        let keeping = Keeping::new(Encoding::Zstd, "", Instant::now()).unwrap();
        let keeping = keeping.and(&vec![0; MOST]).unwrap();

        assert!(keeping.and(b"x").is_none());
    }
}
