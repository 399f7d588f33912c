//! Entries for the fuzzer: the parsers of this crate, with what must hold of their results.
//!
//! In: bytes of any kind. Out: nothing; a panic is a finding. Compiled for tests, and for `fuzz/`, which asks for it by a
//! feature. Pure: values only.

#![allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a finding")]

use serde_json::Value;

use crate::{
    Cidr, CpuQuantity, Interval, MAX_STATUS, NodeConfig, NodeProbeStatus, ProbeConfigSpec,
    ProbeConfigStatus,
};

/// What is fed, and what is fed to it.
pub type Target = (&'static str, fn(&[u8]));

/// Their names and functions; a folder of `fuzz/corpus` is called the same.
pub const TARGETS: &[Target] = &[("objects", objects)];

/// JSON of a spec, a node's configuration or a status; or a text that is one value of a field.
fn objects(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        return words(&String::from_utf8_lossy(data));
    };
    match ProbeConfigSpec::from_value(&value) {
        Ok(spec) => {
            spec.validate().unwrap();
            let written = spec.written();
            assert_eq!(ProbeConfigSpec::from_value(&written).unwrap(), spec, "{written}");
            assert_eq!(spec.hash(), ProbeConfigSpec::from_value(&written).unwrap().hash());
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            for error in errors {
                assert!(!error.to_string().contains(char::is_control), "{error:?}");
            }
        }
    }
    if let Some((config, unknown)) = NodeConfig::read(&value) {
        assert!(unknown.names.len() <= unknown.count);
        let (again, nothing) = NodeConfig::read(&config.written()).unwrap();
        assert_eq!((again, nothing.count), (config, 0));
    }
    drop(serde_json::from_value::<ProbeConfigStatus>(value.clone()));
    if let Ok(status) = serde_json::from_value::<NodeProbeStatus>(value) {
        let fitted = serde_json::to_string(&status.fit()).unwrap();
        assert!(fitted.len() <= MAX_STATUS, "{} bytes", fitted.len());
    }
}

/// What is read of a text is read again of what it is written as.
fn words(text: &str) {
    if let Ok(quantity) = text.parse::<CpuQuantity>() {
        assert_eq!(quantity.to_string().parse::<CpuQuantity>().unwrap(), quantity);
    }
    if let Ok(interval) = text.parse::<Interval>() {
        assert_eq!(interval.to_string().parse::<Interval>().unwrap(), interval);
    }
    _ = text.parse::<Cidr>();
}
