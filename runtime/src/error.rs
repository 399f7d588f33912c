//! Errors for people.
//!
//! In: an error. Out: one line. It must not decide anything: that is done by kind. Pure: values only.

use std::error::Error;

/// An error with its causes on one line, each said once.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Outer {
        text: &'static str,
        #[source]
        cause: std::io::Error,
    }

    #[test]
    fn causes_follow_what_failed_and_none_is_said_twice() {
        let cause = || std::io::Error::other("no route");

        assert_eq!(chain(&Outer { text: "cannot ask", cause: cause() }), "cannot ask: no route");
        let said = Outer { text: "cannot ask: no route", cause: cause() };
        assert_eq!(chain(&said), "cannot ask: no route");
    }
}
