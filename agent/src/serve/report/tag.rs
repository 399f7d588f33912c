//! The tag of a report: which run of the agent, and which epoch.
//!
//! Epochs count from zero in every run, so a bare number would call the report of a restarted
//! agent old. The tag is `INSTANCE-EPOCH`; it is the `ETag`, and `since=` takes it as well as a
//! bare epoch.
//!
//! In: header and query text. Out: tags, and whether one matches. It must not render a report.
//!
//! Pure: no I/O.

use crate::snapshot::instance::Instance;
use probelet_core::table::Epoch;

/// What a client says it has: an epoch, and of which run if it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    instance: Option<Instance>,
    epoch: Epoch,
}

impl Since {
    /// From `EPOCH` or `INSTANCE-EPOCH`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (instance, epoch) = match text.split_once('-') {
            Some((instance, epoch)) => (Some(Instance::parse(instance)?), epoch),
            None => (None, text),
        };
        let plain = !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit());
        Some(Self { instance, epoch: plain.then(|| epoch.parse().ok())?? })
    }

    /// The bare epoch.
    pub(crate) const fn epoch(self) -> Epoch {
        self.epoch
    }

    /// The epoch to build a delta on; `None` when it is of another run or of the future.
    pub(crate) fn known(self, instance: Instance, now: Epoch) -> Option<Epoch> {
        let ours = self.instance.is_none_or(|i| i == instance);
        (ours && self.epoch <= now).then_some(self.epoch)
    }
}

/// The value of `ETag`. Weak, because the same epoch comes in several encodings and with newer
/// vital signs of the agent.
pub(crate) fn etag(instance: Instance, epoch: Epoch) -> String {
    format!("W/\"{instance}-{epoch}\"")
}

/// Whether `If-None-Match` names this report: any of a list, strong or weak.
pub(crate) fn matches(if_none_match: &str, instance: Instance, epoch: Epoch) -> bool {
    let wanted = etag(instance, epoch);
    let opaque = wanted.trim_start_matches("W/");
    if_none_match
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == opaque)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Instance = Instance::new(0x18f);

    #[test]
    fn a_tag_is_understood_as_since() {
        assert_eq!(Since::parse("18f-7").and_then(|s| s.known(RUN, 9)), Some(7));
        assert_eq!(Since::parse("7").and_then(|s| s.known(RUN, 9)), Some(7));
    }

    #[test]
    fn another_run_and_the_future_are_not_known() {
        assert_eq!(Since::parse("18e-7").and_then(|s| s.known(RUN, 9)), None);
        assert_eq!(Since::parse("10").and_then(|s| s.known(RUN, 9)), None);
    }

    #[test]
    fn what_is_no_epoch_is_refused() {
        for text in ["", "-", "x", "+7", "-1", "18f-", "18f-x", "99999999999999999999"] {
            assert_eq!(Since::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_weak_tag_a_list_and_a_star_match() {
        for text in ["\"18f-7\"", "W/\"18f-7\"", "\"a\", W/\"18f-7\"", "*"] {
            assert!(matches(text, RUN, 7), "{text}");
        }
        assert!(!matches("\"18f-8\"", RUN, 7));
        assert!(!matches("18f-7", RUN, 7));
    }
}
