//! An answer: read with a bound, decoded as a stream.
//!
//! In: the body as it comes. Out: a value, or its text. An answer that is compressed is never held decompressed: a few
//! hundred kilobytes on the wire may be half a gigabyte of blanks. I/O: the network, for [`whole`].

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::read::GzDecoder;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::de::DeserializeOwned;

use super::Error;
use crate::seen::clean;

/// The most of one answer, as it comes and decompressed: the largest page of 500 objects, and the report of a node at its
/// limits, are a third of it.
pub(super) const MOST: usize = 64 << 20;
/// The most of answers that are wanted together, of however many agents.
const TOGETHER: usize = 256 << 20;
/// Of a refusal so much is read.
const REFUSAL: u64 = 64 << 10;

/// What several answers may take together.
#[derive(Clone)]
pub struct ByteBudget(Rc<Cell<usize>>);

impl ByteBudget {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(Rc::new(Cell::new(TOGETHER)))
    }

    #[cfg(test)]
    fn of(bytes: usize) -> Self {
        Self(Rc::new(Cell::new(bytes)))
    }

    fn take(&self, bytes: usize) -> bool {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }

    fn give(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_add(bytes).min(TOGETHER));
    }
}

impl Default for ByteBudget {
    fn default() -> Self {
        Self::new()
    }
}

/// An answer.
pub struct Reply {
    raw: Vec<u8>,
    zipped: bool,
    budget: Option<ByteBudget>,
    /// Its entity tag.
    pub etag: Option<String>,
    /// Nothing changed since the tag that was sent.
    pub unchanged: bool,
}

impl Reply {
    /// A reply whose body has come.
    pub(crate) const fn new(raw: Vec<u8>, zipped: bool, budget: Option<ByteBudget>) -> Self {
        Self { raw, zipped, budget, etag: None, unchanged: false }
    }

    /// The value that it is; every text in it is clean.
    pub fn decode<T: DeserializeOwned>(self, path: &str) -> Result<T, Error> {
        self.decode_within(path, MOST)
    }

    fn decode_within<T: DeserializeOwned>(self, path: &str, most: usize) -> Result<T, Error> {
        let mut over = false;
        let budget = self.budget.as_ref();
        let read =
            clean::read(Bounded { inner: self.reader(), left: most, budget, over: &mut over });
        read.map_err(|error| if over { too_long(path) } else { unreadable(path, &error) })
    }

    /// Its text.
    pub fn text(self, path: &str) -> Result<Vec<u8>, Error> {
        let (mut over, mut text) = (false, Vec::new());
        let budget = self.budget.as_ref();
        let mut bounded = Bounded { inner: self.reader(), left: MOST, budget, over: &mut over };
        match bounded.read_to_end(&mut text) {
            Ok(_) => Ok(text),
            Err(_) if over => Err(too_long(path)),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    /// The beginning of its text.
    pub(super) fn beginning(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // What was read before it broke is all that there is to show.
        self.reader().take(REFUSAL).read_to_end(&mut text).ok();
        text
    }

    fn reader(&self) -> Box<dyn Read + '_> {
        let raw = io::BufReader::new(&self.raw[..]);
        if self.zipped { Box::new(io::BufReader::new(GzDecoder::new(raw))) } else { Box::new(raw) }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give(self.raw.len());
        }
    }
}

/// A whole body within its bounds.
pub(super) async fn whole(
    mut body: Body,
    path: &str,
    budget: Option<&ByteBudget>,
    broke: impl Fn(&kube::Error) -> Error,
) -> Result<Vec<u8>, Error> {
    let mut raw = Vec::new();
    let fill = async {
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame.map_err(|error| broke(&error))?.into_data() else { continue };
            if raw.len() + bytes.len() > MOST {
                return Err(too_long(path));
            }
            if budget.is_some_and(|budget| !budget.take(bytes.len())) {
                return Err(too_much());
            }
            raw.extend_from_slice(&bytes);
        }
        Ok(())
    };
    let filled = fill.await;
    if let (Err(_), Some(budget)) = (&filled, budget) {
        budget.give(raw.len());
    }
    filled.map(|()| raw)
}

fn unreadable(path: &str, error: &dyn std::error::Error) -> Error {
    Error::Unreadable { path: path.to_owned(), why: error.to_string() }
}

fn too_long(path: &str) -> Error {
    let why = format!("it is longer than {} MiB, alone or with the answers before it", MOST >> 20);
    Error::Unreadable { path: path.to_owned(), why }
}

fn too_much() -> Error {
    Error::Usage {
        what: format!("the answers of all agents together are longer than {} MiB", TOGETHER >> 20),
        next: "ask for less: one pod, one namespace or one node".to_owned(),
    }
}

/// A reader that ends with an error where it has read enough.
struct Bounded<'a, R> {
    inner: R,
    left: usize,
    budget: Option<&'a ByteBudget>,
    over: &'a mut bool,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        let fits = read <= self.left && self.budget.is_none_or(|budget| budget.take(read));
        if !fits {
            *self.over = true;
            return Err(io::Error::other("it is too long"));
        }
        self.left -= read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::report::Report;
    use std::io::Write as _;

    fn zipped(text: &[u8], times: usize) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(b"{\"node\":\"n1\"}").unwrap();
        for _ in 0..times {
            out.write_all(text).unwrap();
        }
        out.finish().unwrap()
    }

    #[test]
    fn a_few_bytes_that_unfold_to_many_are_refused_and_never_held() {
        let bomb = zipped(&vec![b' '; 1 << 16], 20);
        assert!(bomb.len() < 1 << 14, "{}", bomb.len());

        let error =
            Reply::new(bomb, true, None).decode_within::<Report>("v1/report", 1 << 20).unwrap_err();

        assert!(error.to_string().contains("longer than 64 MiB"), "{error}");
    }

    #[test]
    fn answers_share_their_room_and_give_back_what_came_over_the_wire() {
        let budget = ByteBudget::of(4 << 16);
        let ask = || {
            let raw = zipped(&vec![b' '; 60_000], 1);
            assert!(budget.take(raw.len()));
            Reply::new(raw, true, Some(budget.clone())).decode::<Report>("v1/report")
        };

        let read: Vec<bool> = (0..6).map(|_| ask().is_ok()).collect();

        assert_eq!(read, [true, true, true, true, false, false]);
    }

    #[test]
    fn plain_and_compressed_answers_are_the_same() {
        let plain = Reply::new(b"{\"node\":\"n1\"}".to_vec(), false, None);
        let packed = Reply::new(zipped(b"", 0), true, None);

        assert_eq!(plain.decode::<Report>("x").unwrap().node, "n1");
        assert_eq!(packed.text("x").unwrap(), b"{\"node\":\"n1\"}");
        assert!(Reply::new(b"{".to_vec(), true, None).text("x").is_err());
    }
}
