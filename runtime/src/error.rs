//! Errors for people.
//!
//! In: an error. Out: one line. It must not decide anything: that is done by kind. Pure: values only.

use std::error::Error;
use std::io;

use tokio_rustls::rustls;

use crate::tls;

/// In place of the numbers of all algorithms that there are.
const UNVERIFIABLE: &str = "its certificate is signed with an algorithm that this program cannot verify; \
                            ECDSA P-256/SHA-256, P-384/SHA-384, RSA and Ed25519 work";

/// An error with its causes on one line, each said once.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = said(cause);
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

fn said(cause: &(dyn Error + 'static)) -> String {
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let of_tls = match inner {
        Some(inner) => inner.downcast_ref::<rustls::Error>(),
        None => cause.downcast_ref(),
    };
    if of_tls.is_some_and(tls::is_unverifiable) {
        UNVERIFIABLE.to_owned()
    } else {
        cause.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_rustls::rustls::CertificateError;

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

    #[test]
    fn a_certificate_that_cannot_be_verified_is_said_without_numbers_of_algorithms() {
        let said = |why: CertificateError| {
            let cause = std::io::Error::other(rustls::Error::InvalidCertificate(why));
            chain(&Outer { text: "cannot ask", cause })
        };
        let (id, key) = (vec![6, 8], vec![6, 7]);
        let none = CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: id.clone(),
            supported_algorithms: Vec::new(),
        };
        let not_of_the_key = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: id,
            public_key_algorithm_id: key,
        };
        for why in [none, not_of_the_key] {
            assert_eq!(
                said(why),
                "cannot ask: its certificate is signed with an algorithm that this program cannot verify; \
                 ECDSA P-256/SHA-256, P-384/SHA-384, RSA and Ed25519 work"
            );
        }
        let other = said(CertificateError::UnknownIssuer);
        assert_eq!(other, "cannot ask: invalid peer certificate: UnknownIssuer");
    }
}
