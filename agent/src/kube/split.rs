//! Cuts what the API server sends into objects: the lines of a watch, the items of a list.
//!
//! In: bytes as they arrive, cut anywhere. Out: the JSON of one object at a time. It must not hold more than one
//! object, nor one of more than [`MAX_OBJECT`]: a list of ten thousand slices is a hundred megabytes.
//!
//! Pure: no I/O.

/// The store of the API server refuses requests of more than 1.5 MiB, which is less than 3 MiB as JSON; a server may
/// be asked to take more.
pub(crate) const MAX_OBJECT: usize = 8 << 20;
/// Memory that is kept for the next object; more is given back.
const KEEP: usize = 64 << 10;

/// An object was larger than [`MAX_OBJECT`] and was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// The beginning of an object whose end has not arrived.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// It grew too large; the rest is thrown away as it comes.
    given_up: bool,
}

impl Held {
    fn add(&mut self, part: &[u8]) {
        if self.given_up || self.bytes.len() + part.len() > MAX_OBJECT {
            self.given_up = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Completes the object with its last part.
    fn complete<'a>(&'a mut self, part: &'a [u8]) -> Result<&'a [u8], TooLarge> {
        if self.bytes.is_empty() && !self.given_up && part.len() <= MAX_OBJECT {
            return Ok(part);
        }
        self.add(part);
        if self.given_up { Err(TooLarge) } else { Ok(&self.bytes) }
    }

    fn clear(&mut self) {
        self.given_up = false;
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
    }
}

/// The lines of a watch.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    held: Held,
}

impl Lines {
    /// Hands every line that `chunk` completes to `each`, without its line feed.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(Result<&[u8], TooLarge>)) {
        while let Some(end) = chunk.iter().position(|&byte| byte == b'\n') {
            let line = self.held.complete(&chunk[..end]);
            if line != Ok(&[]) {
                each(line);
            }
            self.held.clear();
            chunk = &chunk[end + 1..];
        }
        if !chunk.is_empty() {
            self.held.add(chunk);
        }
    }
}

/// What a list is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// `metadata` of the list itself.
    Metadata(&'a [u8]),
    /// One of its items.
    Item(Result<&'a [u8], TooLarge>),
}

/// Where in the text the next byte is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Structure,
    Text,
    /// Behind a backslash.
    Escape,
}

/// The items of a list. It goes by brackets and strings only: what stands in an item is its reader's matter.
#[derive(Debug, Default)]
pub(crate) struct Items {
    depth: u32,
    within: Within,
    /// The last string of the list's own level, which is the key when a value begins.
    key: Vec<u8>,
    listing: bool,
    capturing: bool,
    held: Held,
    complete: bool,
}

/// No key of a list is longer.
const MAX_KEY: usize = 32;

impl Items {
    /// Hands every part that `chunk` completes to `each`.
    pub(crate) fn feed(&mut self, chunk: &[u8], mut each: impl FnMut(Part<'_>)) {
        let mut begin = 0;
        for (at, &byte) in chunk.iter().enumerate() {
            if self.within != Within::Structure {
                self.in_text(byte);
                continue;
            }
            match byte {
                b'"' => {
                    self.within = Within::Text;
                    if self.depth == 1 {
                        self.key.clear();
                    }
                }
                b'{' | b'[' => {
                    if !self.capturing && byte == b'{' && self.wanted() {
                        self.capturing = true;
                        begin = at;
                    }
                    if byte == b'[' && self.depth == 1 {
                        self.listing = self.key == b"items";
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.capturing && self.depth == self.floor() {
                        self.capturing = false;
                        let text = self.held.complete(&chunk[begin..=at]);
                        match (self.listing, text) {
                            (true, text) => each(Part::Item(text)),
                            (false, Ok(text)) => each(Part::Metadata(text)),
                            (false, Err(TooLarge)) => {}
                        }
                        self.held.clear();
                    } else if self.depth == 1 {
                        self.listing = false;
                    }
                    self.complete |= self.depth == 0;
                }
                _ => {}
            }
        }
        if self.capturing {
            self.held.add(&chunk[begin..]);
        }
    }

    /// Whether the list has ended as it should.
    pub(crate) fn complete(&self) -> bool {
        self.complete
    }

    fn in_text(&mut self, byte: u8) {
        self.within = match (self.within, byte) {
            (Within::Text, b'\\') => Within::Escape,
            (Within::Text, b'"') => Within::Structure,
            _ => Within::Text,
        };
        if self.within == Within::Text && self.depth == 1 && self.key.len() < MAX_KEY {
            self.key.push(byte);
        }
    }

    /// Whether an object that begins here is to be handed out.
    fn wanted(&self) -> bool {
        (self.listing && self.depth == 2) || (self.depth == 1 && self.key == b"metadata")
    }

    /// The depth at which an object that is handed out ends.
    fn floor(&self) -> u32 {
        if self.listing { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"a{b"},
        "items":[{"metadata":{"name":"a\"}]"},"items":[{"x":1}]},{"metadata":{"name":"b"}}],"x":[{"y":{}}]}
"#;

    fn lines(chunks: &[&[u8]]) -> Vec<Result<Vec<u8>, TooLarge>> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk, |line| found.push(line.map(<[u8]>::to_vec)));
        }
        found
    }

    fn items(size: usize) -> (Vec<String>, bool) {
        let (mut items, mut found) = (Items::default(), Vec::new());
        for chunk in LIST.as_bytes().chunks(size) {
            items.feed(chunk, |part| {
                found.push(match part {
                    Part::Metadata(text) => format!("list {}", String::from_utf8_lossy(text)),
                    Part::Item(text) => String::from_utf8_lossy(text.unwrap()).into_owned(),
                });
            });
        }
        (found, items.complete())
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_one_line() {
        assert_eq!(
            lines(&[b"{\"a\"", b":1}", b"\n{}\n\n{\"b", b"\":2}\n{"]),
            [Ok(b"{\"a\":1}".to_vec()), Ok(b"{}".to_vec()), Ok(b"{\"b\":2}".to_vec())]
        );
    }

    #[test]
    fn a_line_that_is_too_large_is_left_out_and_the_next_one_is_whole() {
        let huge = vec![b'x'; MAX_OBJECT / 2 + 1];
        assert_eq!(lines(&[&huge, &huge, b"xx\n{}\n"]), [Err(TooLarge), Ok(b"{}".to_vec())]);
    }

    #[test]
    fn a_list_is_cut_into_the_same_items_wherever_it_is_cut_on_the_way() {
        let whole = items(usize::MAX);

        assert_eq!(
            whole.0,
            [
                r#"list {"resourceVersion":"7","continue":"a{b"}"#,
                r#"{"metadata":{"name":"a\"}]"},"items":[{"x":1}]}"#,
                r#"{"metadata":{"name":"b"}}"#,
            ]
        );
        for size in 1..40 {
            assert_eq!(items(size), whole, "{size}");
        }
    }

    #[test]
    fn a_list_that_breaks_off_is_not_complete() {
        let mut items = Items::default();
        items.feed(&LIST.as_bytes()[..LIST.len() - 3], |_| {});
        assert!(!items.complete());
    }

    #[test]
    fn an_item_that_is_too_large_is_left_out_and_the_next_one_is_whole() {
        let list = format!(r#"{{"items":[{{"a":"{}"}},{{"b":1}}]}}"#, "x".repeat(MAX_OBJECT));
        let (mut items, mut found) = (Items::default(), Vec::new());

        for chunk in list.as_bytes().chunks(1 << 20) {
            items.feed(chunk, |part| {
                let Part::Item(text) = part else { panic!("no metadata here") };
                found.push(text.map(<[u8]>::to_vec));
            });
        }

        assert_eq!(found, [Err(TooLarge), Ok(b"{\"b\":1}".to_vec())]);
    }
}
