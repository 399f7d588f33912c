//! What a command that goes on until it is stopped does when an answer does not come: a load balancer closed the connection,
//! the API server is restarted, an agent is replaced.
//!
//! In: an answer or an error. Out: whether to go on. It must not hide what will not pass by itself. I/O: the clock.

use std::time::{Duration, Instant};

use crate::ask::Error;

/// A control plane's upgrade takes less.
const MOST: Duration = Duration::from_mins(5);

/// Since when there is no answer.
#[derive(Default)]
pub(super) struct Outage(Option<Instant>);

impl Outage {
    /// The answer; nothing if it may come yet. `say` gets the first error of several.
    pub(super) fn bear<T>(
        &mut self,
        answer: Result<T, Error>,
        say: impl FnOnce(&Error),
    ) -> Result<Option<T>, Error> {
        match (answer, self.0) {
            (Ok(answer), _) => {
                self.0 = None;
                Ok(Some(answer))
            }
            (Err(error), Some(since)) if passes(&error) && since.elapsed() < MOST => Ok(None),
            (Err(error), None) if passes(&error) => {
                self.0 = Some(Instant::now());
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
        Error::Unreachable { .. } | Error::Unauthorized { .. } => true,
        Error::Refused { code, .. } => *code == 429 || *code >= 500,
        Error::Agent { refused, .. } => !refused,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16) -> Result<u8, Error> {
        Err(Error::Refused { path: "/x".to_owned(), code, message: String::new() })
    }

    #[test]
    fn what_passes_is_said_once_and_ends_with_an_answer() {
        let (mut outage, mut said) = (Outage::default(), 0);
        let mut looks = [refused(503), refused(503), Ok(1), refused(502)].into_iter();
        let answers: Vec<_> =
            looks.by_ref().map(|look| outage.bear(look, |_| said += 1).unwrap()).collect();

        assert_eq!((answers, said), (vec![None, None, Some(1), None], 2));
    }

    #[test]
    fn what_does_not_pass_or_lasts_too_long_ends_it() {
        assert!(Outage::default().bear(refused(422), |_| ()).is_err());
        let Some(long_ago) = Instant::now().checked_sub(MOST) else { return };
        assert!(Outage(Some(long_ago)).bear(refused(503), |_| ()).is_err());
    }
}
