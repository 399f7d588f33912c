//! What the operator's feed is asked for by agents: paths and bounds, which both programs keep.
//!
//! In: nothing. Out: constants. It must not know how they are served or asked for. Pure: values only.

/// A list and a watch of the pods of the node in the caller's token.
pub const PODS: &str = "/feed/v1/pods";
/// Which pods of other nodes are at some addresses.
pub const ADDRESSES: &str = "/feed/v1/addresses";
/// Addresses in a question.
pub const MOST_ADDRESSES: usize = 500;
