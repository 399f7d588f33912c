//! Text that others chose, made fit to be shown.
//!
//! A process may call itself whatever it likes: a name with an escape sequence writes on the terminal of anyone who looks, one
//! with a line end adds a line to what is read by machines, one with marks for the direction of writing shows something
//! else than it is. In: text. Out: the same, with all of that in a form that is seen and does nothing. Two texts may become
//! one by it; what is shown is no key.
//!
//! Pure: no I/O; nothing is allocated for text that is clean.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does something else than being seen: control characters of both sets, line and paragraph ends,
/// marks and overrides of the direction of writing.
#[must_use]
pub const fn acts(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The text with all that acts written as `\x1b` or `\u{202e}`.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    clean_but(text, |_| false)
}

/// A page of lines, of which line ends stay.
#[must_use]
pub fn clean_page(text: &str) -> Cow<'_, str> {
    clean_but(text, |c| c == '\n')
}

fn clean_but(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let goes = |c: char| acts(c) && !stays(c);
    if !text.chars().any(goes) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if goes(c) {
            // Writing into a text cannot fail.
            let _written = match u32::from(c) {
                byte @ ..=0xff => write!(shown, "\\x{byte:02x}"),
                more => write!(shown, "\\u{{{more:x}}}"),
            };
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// What a line of a log is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Text for a file or a pipe.
    Plain,
    /// Text with colours for a terminal.
    Coloured,
    /// One JSON value.
    Json,
}

/// A line of a log, without its end. Colours stay where there are colours: they move nothing.
#[must_use]
pub fn clean_line(text: &str, line: Line) -> Cow<'_, str> {
    match line {
        Line::Plain => clean(text),
        Line::Coloured => clean_coloured(text),
        Line::Json => clean_json(text),
    }
}

fn clean_coloured(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut rest) = (String::with_capacity(text.len() + 16), text);
    while let Some(at) = rest.find('\x1b') {
        shown.push_str(&clean(&rest[..at]));
        let end = at + colour(&rest[at..]).unwrap_or(0);
        shown.push_str(&rest[at..end]);
        if end == at {
            shown.push_str("\\x1b");
        }
        rest = &rest[end.max(at + 1)..];
    }
    shown.push_str(&clean(rest));
    Cow::Owned(shown)
}

/// The length of `ESC [ 1 ; 31 m` at the beginning of a text.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    numbers[end..].starts_with('m').then_some(2 + end + 1)
}

/// All that acts stands in texts, since the rest of JSON is ASCII without controls.
fn clean_json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            for half in c.encode_utf16(&mut [0; 2]) {
                // Writing into a text cannot fail.
                let _written = write!(shown, "\\u{half:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Bytes that should be UTF-8, cleaned; what is not is the replacement character.
#[must_use]
pub fn clean_bytes(bytes: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => clean(text),
        Cow::Owned(text) => Cow::Owned(clean(&text).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_is_shown_and_does_nothing() {
        assert_eq!(clean("\x1b]0;owned\x07"), "\\x1b]0;owned\\x07");
        assert_eq!(clean("\nkind: List #"), "\\x0akind: List #");
        assert_eq!(clean("a\u{9b}31m"), "a\\x9b31m");
        assert_eq!(clean("exe.\u{202e}gpj"), "exe.\\u{202e}gpj");
        assert_eq!(clean_page("one\ntwo\r\n"), "one\ntwo\\x0d\n");
        assert_eq!(clean_bytes(b"cut\xc3"), "cut\u{fffd}");
    }

    #[test]
    fn of_a_line_of_a_log_only_colours_stay_where_there_are_any() {
        let text = "\x1b[2;31mWARN\x1b[0m a\x1b]0;x\x07\x1b[2J\nb\u{9b}m\x1b[";

        assert_eq!(
            clean_line(text, Line::Coloured),
            "\x1b[2;31mWARN\x1b[0m a\\x1b]0;x\\x07\\x1b[2J\\x0ab\\x9bm\\x1b["
        );
        assert!(!clean_line(text, Line::Plain).contains('\x1b'));
        assert_eq!(
            clean_line("{\"a\":\"\u{9b}\u{e0001}\"}", Line::Json),
            "{\"a\":\"\\u009b\\udb40\\udc01\"}"
        );
    }

    #[test]
    fn clean_text_of_any_language_stays_and_is_not_copied() {
        for text in ["nginx: worker", "na\u{ef}ve", "\u{65e5}\u{672c}", "\u{5e9}\u{5dc}", ""] {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let shown = clean_bytes(&bytes);
            prop_assert!(!shown.chars().any(|c| c.is_control() || acts(c)), "{shown:?}");
            prop_assert!(!clean_page(&String::from_utf8_lossy(&bytes)).chars().any(|c| c.is_control() && c != '\n'));
        }

        #[test]
        fn to_clean_twice_changes_nothing(text in any::<String>()) {
            let once = clean(&text).into_owned();
            prop_assert_eq!(clean(&once), once.as_str());
        }
    }
}
