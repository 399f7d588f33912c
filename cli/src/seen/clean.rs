//! Text that others chose: processes, labels, agents, an API server.
//!
//! In: JSON. Out: values whose texts hold nothing that moves a cursor, ends a line or breaks a language. All that the
//! program decodes goes through here, once; what shows it need not think of it again. Pure: what is read is given.

mod decode;

use std::borrow::Cow;
use std::io::Read;

use serde::de::DeserializeOwned;

/// What stands in place of a letter that is none.
const MARK: char = '\u{fffd}';

/// Reads one JSON value, with clean texts in it.
pub fn read<T: DeserializeOwned>(json: impl Read) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_reader(json);
    let value = T::deserialize(decode::Clean(&mut json))?;
    json.end()?;
    Ok(value)
}

/// The same of a value that is there already.
pub fn value<T: DeserializeOwned>(value: serde_json::Value) -> serde_json::Result<T> {
    T::deserialize(decode::Clean(value))
}

/// A text of one line. Ends of lines and tabs are blanks, everything else that is no letter is marked.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let letter = |c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_plain(c) => c,
        _ => MARK,
    };
    Cow::Owned(text.chars().map(letter).collect())
}

/// A text of several lines.
#[must_use]
pub fn lines(several: &str) -> String {
    several.lines().map(text).collect::<Vec<_>>().join("\n")
}

/// No control, no end of a line in any language, nothing that turns the direction of writing, nothing that XML forbids.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Some {
        comm: String,
        maybe: Option<Box<str>>,
        labels: BTreeMap<String, String>,
        list: Vec<String>,
        any: Value,
        kind: Kind,
        flat: (u8, f64, bool),
    }

    #[derive(Deserialize, Debug, PartialEq)]
    enum Kind {
        One,
    }

    #[test]
    fn every_text_is_clean_wherever_it_stands() {
        let odd = r#""a\u001b[2J\nb\u009b\u2028""#;
        let clean = "a\u{fffd}[2J b\u{fffd}\u{fffd}";
        let json = format!(
            r#"{{"comm":{odd},"maybe":{odd},"labels":{{{odd}:{odd}}},"list":[{odd}],
                "any":{{{odd}:[{odd},1]}},"kind":"One","flat":[1,2.5,true],"more":{odd}}}"#
        );

        let read: Some = read(json.as_bytes()).unwrap();

        let labels = BTreeMap::from([(clean.to_owned(), clean.to_owned())]);
        assert_eq!((read.comm.as_str(), read.maybe.as_deref()), (clean, Option::Some(clean)));
        assert_eq!((read.labels, read.list), (labels, vec![clean.to_owned()]));
        assert_eq!(read.any, json!({clean: [clean, 1]}));
        assert_eq!((read.kind, read.flat), (Kind::One, (1, 2.5, true)));
    }

    #[test]
    fn letters_of_all_languages_stay() {
        let plain = "web-0 → \u{4e2d}\u{6587} é \u{1f600}";

        assert!(matches!(text(plain), Cow::Borrowed(_)));
        assert_eq!(lines("a\x07\nb\r\n"), "a\u{fffd}\nb");
    }

    #[test]
    fn what_follows_the_value_is_no_json() {
        assert!(read::<Value>(&b"{} x"[..]).is_err());
    }
}
