//! What a command that goes on until it is stopped does when an answer does not come: a load balancer closed the connection,
//! the API server is restarted, an agent is replaced.
//!
//! In: an answer or an error. Out: whether to go on. It must not hide what will not pass by itself. I/O: the clock.

use std::time::{Duration, Instant};

use crate::ask::Error;

/// A control plane's upgrade takes less.
const MOST: Duration = Duration::from_mins(5);

/// Whether there ever was an answer, and since when there is none. What never had one does not begin.
#[derive(Default)]
pub(super) struct Outage {
    answered: bool,
    since: Option<Instant>,
}

impl Outage {
    /// There was an answer.
    pub(super) const fn answered() -> Self {
        Self { answered: true, since: None }
    }

    /// The answer; nothing if it may come yet. `say` gets the first error of several.
    pub(super) fn bear<T>(
        &mut self,
        answer: Result<T, Error>,
        say: impl FnOnce(&Error),
    ) -> Result<Option<T>, Error> {
        match (answer, self.since) {
            (Ok(answer), _) => {
                *self = Self::answered();
                Ok(Some(answer))
            }
            (Err(error), _) if !self.answered => Err(error),
            (Err(error), Some(since)) if passes(&error) && since.elapsed() < MOST => Ok(None),
            (Err(error), None) if passes(&error) => {
                self.since = Some(Instant::now());
                say(&error);
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// Whether the same question may have an answer in a moment. Credentials are renewed before the next one.
fn passes(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. }
        | Error::Unauthorized { .. }
        | Error::Cut { .. }
        | Error::Late { .. } => true,
        Error::Refused { code, .. } | Error::Foreign { code, .. } => {
            matches!(code, 401 | 429 | 500..)
        }
        Error::Agent { refused, .. } => !refused,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::By;

    fn refused(code: u16) -> Result<u8, Error> {
        Err(Error::Refused { path: "/x".to_owned(), code, message: String::new(), by: By::Server })
    }

    #[test]
    fn what_passes_is_said_once_and_ends_with_an_answer() {
        let (mut outage, mut said) = (Outage::default(), 0);
        let mut looks = [Ok(0), refused(503), refused(503), Ok(1), refused(502)].into_iter();
        let answers: Vec<_> =
            looks.by_ref().map(|look| outage.bear(look, |_| said += 1).unwrap()).collect();

        assert_eq!((answers, said), (vec![Some(0), None, None, Some(1), None], 2));
    }

    #[test]
    fn what_does_not_pass_or_lasts_too_long_ends_it() {
        assert!(Outage::default().bear(refused(503), |_| ()).is_err(), "it never answered");
        let since = |since| Outage { answered: true, since };
        assert!(since(None).bear(refused(422), |_| ()).is_err());
        let Some(long_ago) = Instant::now().checked_sub(MOST) else { return };
        assert!(since(Some(long_ago)).bear(refused(503), |_| ()).is_err());
    }
}
