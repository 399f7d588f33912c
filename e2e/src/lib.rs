//! Real binaries on a real kernel.
