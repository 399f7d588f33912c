//! Nothing: the targets are in the crates whose parsers they are about (`fuzz.rs` there), since most parsers are private.
//! Here are the program that feeds them (`main.rs`, for `make fuzz`), what it found (`corpus/`), and the test that replays it.
