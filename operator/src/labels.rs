//! The labels of one node, in one piece of memory.
//!
//! In: a map of labels. Out: the value of a key. 15,000 nodes with some fifteen labels each are held at about their own
//! length, and equal labels are equal bytes, so that an update that changed none is found by one comparison. It must not
//! judge labels: the API server did. Pure: values only.

use probelet_core::selector;

/// Ends each key and each value; labels cannot hold it.
const END: char = '\0';

/// Labels, ascending by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Box<str>);

impl Labels {
    /// Takes labels in ascending order of their keys. What holds the mark of an end is no label and is left out.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        for (key, value) in pairs {
            if key.contains(END) || value.contains(END) {
                continue;
            }
            text.extend([key, "\0", value, "\0"]);
        }
        Self(text.into_boxed_str())
    }
}

impl selector::Labels for Labels {
    fn get(&self, key: &str) -> Option<&str> {
        let mut words = self.0.split_terminator(END);
        while let (Some(have), Some(value)) = (words.next(), words.next()) {
            if have == key {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use selector::Labels as _;

    #[test]
    fn every_label_is_found_and_no_other() {
        let labels = Labels::new([("a", "1"), ("empty", ""), ("zone", "eu-1")]);

        assert_eq!(labels.get("a"), Some("1"));
        assert_eq!(labels.get("empty"), Some(""));
        assert_eq!(labels.get("zone"), Some("eu-1"));
        assert_eq!(labels.get("1"), None);
        assert_eq!(labels.get(""), None);
    }
}
