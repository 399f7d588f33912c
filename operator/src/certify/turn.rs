//! What is kept of certificates, and what is due.
//!
//! In: the data of a Secret, the time, a way to make a pair. Out: what to keep. Readers learn of an authority a week before
//! agents show a certificate of it, and keep the one before for as long as that is valid. What cannot be read is made again.
//!
//! Pure: no I/O, no clock; time is an argument.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;

const DAY: u64 = 24 * 3600;
/// How long a certificate and its authority are valid, seconds.
pub(super) const LIFE: u64 = 90 * DAY;
/// At this age the next one is made, whose authority readers learn of.
const NEXT: u64 = 53 * DAY;
/// At this age the next one is shown: copies of the authorities and mounts of them have followed by then.
const SHOW: u64 = 7 * DAY;

/// An authority, and the certificate that it signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    /// When, Unix seconds.
    pub(super) made: u64,
    pub(super) authority: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// What agents show.
    current: Option<Pair>,
    /// What they will show.
    next: Option<Pair>,
    /// The authority of what they showed before.
    past: Option<(u64, String)>,
}

/// The keys of the Secret: when, authority, certificate, private key.
const CURRENT: [&str; 4] = ["made", "authority.crt", "tls.crt", "tls.key"];
const COMING: [&str; 4] = ["next-made", "next-authority.crt", "next.crt", "next.key"];
const PAST: [&str; 2] = ["past-made", "past-authority.crt"];

impl Kept {
    pub(super) fn read(data: &BTreeMap<String, ByteString>) -> Self {
        let text = |key: &str| {
            let text = String::from_utf8(data.get(key)?.0.clone()).ok()?;
            (!text.is_empty()).then_some(text)
        };
        let pair = |[made, authority, certificate, key]: [&str; 4]| {
            Some(Pair {
                made: text(made)?.parse().ok()?,
                authority: text(authority)?,
                certificate: text(certificate)?,
                key: text(key)?,
            })
        };
        let past = || Some((text(PAST[0])?.parse().ok()?, text(PAST[1])?));
        Self { current: pair(CURRENT), next: pair(COMING), past: past() }
    }

    pub(super) fn write(&self) -> BTreeMap<&'static str, String> {
        let mut data = BTreeMap::from([("ca.crt", self.authorities())]);
        for (pair, [made, authority, certificate, key]) in
            [(&self.current, CURRENT), (&self.next, COMING)]
        {
            if let Some(pair) = pair {
                data.insert(made, pair.made.to_string());
                data.insert(authority, pair.authority.clone());
                data.insert(certificate, pair.certificate.clone());
                data.insert(key, pair.key.clone());
            }
        }
        if let Some((made, authority)) = &self.past {
            data.insert(PAST[0], made.to_string());
            data.insert(PAST[1], authority.clone());
        }
        data
    }

    /// Whom readers should believe: what is shown, what will be, and what some agents may still show.
    pub(super) fn authorities(&self) -> String {
        let pairs = [&self.current, &self.next].into_iter().flatten().map(|pair| &pair.authority);
        pairs.chain(self.past.iter().map(|(_, past)| past)).map(String::as_str).collect()
    }

    /// What is due now, and whether that is anything.
    pub(super) fn turn<E>(
        self,
        now: u64,
        make: impl FnOnce() -> Result<Pair, E>,
    ) -> Result<(Self, bool), E> {
        let before = self.clone();
        let Self { current, next, past } = self;
        // A clock that was set back makes nothing older than it is.
        let age = |made: u64| now.saturating_sub(made);
        let past = past.filter(|(made, _)| age(*made) < LIFE);
        let next = next.filter(|pair| age(pair.made) < LIFE);
        let current = current.filter(|pair| age(pair.made) < LIFE);
        let kept = match (current, next) {
            (Some(current), Some(next)) if age(next.made) >= SHOW => {
                let past = Some((current.made, current.authority));
                Self { current: Some(next), next: None, past }
            }
            (Some(current), None) if age(current.made) >= NEXT => {
                Self { current: Some(current), next: Some(make()?), past }
            }
            // Nothing that could be shown: what would come comes now.
            (None, Some(next)) => Self { current: Some(next), next: None, past },
            (None, None) => Self { current: Some(make()?), next: None, past },
            (current, next) => Self { current, next, past },
        };
        let changed = kept != before;
        Ok((kept, changed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn pair(made: u64) -> Pair {
        let text = |what: &str| format!("{what} of {made}\n");
        Pair {
            made,
            authority: text("authority"),
            certificate: text("certificate"),
            key: text("key"),
        }
    }

    fn turn(kept: Kept, day: u64) -> (Kept, bool) {
        kept.turn(day * DAY, || Ok::<_, Infallible>(pair(day * DAY))).unwrap()
    }

    #[test]
    fn the_first_certificate_is_made_at_once_and_then_nothing_is_due_for_weeks() {
        let (kept, changed) = turn(Kept::default(), 100);

        assert!(changed);
        assert_eq!(kept.write()["tls.crt"], "certificate of 8640000\n");
        assert_eq!(turn(kept.clone(), 152), (kept, false));
    }

    #[test]
    fn readers_know_an_authority_a_week_before_it_is_shown_and_the_one_before_while_it_is_valid() {
        let (first, _) = turn(Kept::default(), 0);
        let (announced, _) = turn(first.clone(), 53);
        let (waiting, changed) = turn(announced.clone(), 59);
        let (shown, _) = turn(waiting.clone(), 60);
        let (later, _) = turn(shown.clone(), 90);

        assert_eq!(announced.write()["tls.crt"], first.write()["tls.crt"]);
        assert!(announced.authorities().contains(&pair(53 * DAY).authority));
        assert!(!changed);
        assert_eq!(shown.write()["tls.crt"], pair(53 * DAY).certificate);
        assert!(shown.authorities().contains(&pair(0).authority));
        assert_eq!(later.authorities(), pair(53 * DAY).authority);
    }

    /// A fleet of clocks: whatever day a round falls on, what is shown is of an authority that was known long enough.
    #[test]
    fn no_day_of_two_years_shows_what_readers_cannot_verify() {
        let mut kept = Kept::default();
        let mut known: Vec<(u64, String)> = Vec::new();
        for day in 0..730 {
            kept = turn(kept, day).0;
            for part in kept.authorities().lines() {
                if !known.iter().any(|(_, text)| text == part) {
                    known.push((day, part.to_owned()));
                }
            }
            let shown = kept.current.as_ref().unwrap();
            assert!(day * DAY - shown.made < LIFE, "expired on day {day}");
            let since = known.iter().find(|(_, text)| shown.authority.trim() == text).unwrap().0;
            assert!(since == 0 || day - since >= 7, "shown on day {day}, known since {since}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_what_cannot_be_read_is_made_again() {
        let (kept, _) = turn(turn(Kept::default(), 0).0, 53);
        let data: BTreeMap<String, ByteString> = kept
            .write()
            .into_iter()
            .map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())))
            .collect();
        assert_eq!(Kept::read(&data), kept);

        for (key, bytes) in [("made", &b"soon"[..]), ("tls.key", b""), ("tls.crt", b"\xff")] {
            let mut broken = data.clone();
            broken.insert(key.to_owned(), ByteString(bytes.to_vec()));
            broken.retain(|name, _| !name.starts_with("next"));
            let (again, changed) = turn(Kept::read(&broken), 54);
            assert!(changed, "{key}");
            assert_eq!(again.write()["tls.crt"], pair(54 * DAY).certificate, "{key}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_renews_nothing() {
        let (kept, _) = turn(Kept::default(), 100);

        assert_eq!(turn(kept.clone(), 10), (kept, false));
    }
}
