//! Configurations, for the fuzzer.
//!
//! In: bytes of a file, or of a `NodeProbe`. Out: nothing; a panic is a finding. Pure: no I/O.

#![allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a finding")]

use super::{Effective, Origin, yaml};
use crate::kube::single::Seen;
use crate::node_probe::{follow, saved};
use probelet_crds::ProbeConfigSpec;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::watch::Sender;

/// A file that a person wrote.
pub(crate) fn yaml(data: &[u8]) {
    match yaml::spec(data) {
        Ok(spec) => is_whole(&spec),
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            for mistake in mistakes {
                let text = mistake.to_string();
                assert!(!text.contains(char::is_control), "{text:?}");
            }
        }
    }
}

/// A file that this agent wrote, or a disk, or someone else.
pub(crate) fn saved(data: &[u8]) {
    match saved::parse(data) {
        Ok(effective) => {
            is_whole(&effective.spec);
            assert!(matches!(effective.origin, Origin::NodeProbe { .. }));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    }
}

/// What is accepted keeps every rule, and is the same when it is written and read again.
fn is_whole(spec: &ProbeConfigSpec) {
    spec.validate().unwrap();
    let written = serde_json::to_value(spec).unwrap();
    assert_eq!(&ProbeConfigSpec::from_value(&written).unwrap(), spec);
}

/// An object that the API server sent.
pub(crate) fn node_probe(data: &[u8]) {
    let Ok(object) = serde_json::from_slice::<Value>(data) else { return };
    let paused = object["spec"]["config"]["paused"].as_bool();
    let config = Sender::new(Arc::new(Effective::defaults()));
    let assignment = Sender::new(Arc::default());
    follow::take_in(Seen::Object(object), &config, &assignment);
    let effective = config.borrow();
    effective.spec.validate().unwrap();
    if let Some(paused) = paused {
        assert_eq!(effective.spec.paused, paused, "whatever else is wrong");
    }
}
