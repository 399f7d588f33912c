//! The objects people edit.
#![forbid(unsafe_code)]
