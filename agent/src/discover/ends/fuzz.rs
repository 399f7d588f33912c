//! What the kernel says of sockets that go, for the fuzzer.
//!
//! In: bytes, as the kernel sends them. Out: nothing; a panic is a finding. Pure: no I/O.

use super::message::ended;
use probelet_core::facts::Role;

/// One message. Whatever its counts say, no end has more payload than bytes.
pub(crate) fn message(bytes: &[u8]) {
    let Some(ended) = ended(bytes) else { return };
    for dialled in [false, true] {
        if let Some((sent, received)) = ended.bytes(dialled) {
            assert!(sent <= ended.sent && received <= ended.received);
        }
    }
    assert!(ended.established || ended.role() == Role::Unknown);
}
