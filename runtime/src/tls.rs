//! TLS to an API server, verified as client-go verifies it.
//!
//! In: kube's configuration. Out: what rustls wants. Go believes a certificate that a kubeconfig names as the authority even if it is
//! the server's own: one that another authority signed, or that signs others as well. rustls wants an authority above the
//! server. Who shows exactly the certificate that the kubeconfig holds is believed, for the name that the certificate has,
//! as long as it is valid. Of several authorities Go passes over those that it cannot read, and so do we: kube would refuse
//! them all. I/O: reads the file of authorities that a configuration names.

use std::sync::Arc;

use kube::Config;
use kube::client::ConfigExt as _;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tracing::warn;

/// How the server of a configuration is verified, and who we are to it.
///
/// # Errors
/// A certificate or key is none.
pub fn client(config: &Config) -> Result<ClientConfig, kube::Error> {
    let mut config = config.clone();
    without_unreadable(&mut config);
    let mut tls = config.rustls_client_config()?;
    let kept = !config.accept_invalid_certs && config.root_cert_file.is_none();
    let own = config.root_cert.as_deref().filter(|own| kept && !own.is_empty());
    if let Some(verifier) = own.and_then(Named::new) {
        tls.dangerous().set_certificate_verifier(Arc::new(verifier));
    }
    Ok(tls)
}

/// Leaves out those authorities that cannot be read, as long as one is left. Their file is then not read again before the
/// next start or connection: kube, which reads it each minute, takes all of it or nothing.
pub fn without_unreadable(config: &mut Config) {
    let file = config.root_cert_file.as_ref();
    let in_file = file.and_then(|path| std::fs::read(path).ok()).map(|text| {
        let found = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
        found.map(|der| der.to_vec()).collect::<Vec<_>>()
    });
    let Some(all) = in_file.as_ref().or(config.root_cert.as_ref()) else { return };
    let readable: Vec<_> = all.iter().filter(|der| is_readable(der)).cloned().collect();
    let left_out = all.len() - readable.len();
    if left_out > 0 && !readable.is_empty() {
        warn!(left_out, used = readable.len(), "certificates of authorities cannot be read");
        config.root_cert = Some(readable);
        config.root_cert_file = None;
    }
}

/// Whether a certificate can be an authority here.
fn is_readable(der: &[u8]) -> bool {
    RootCertStore::empty().add(CertificateDer::from(der)).is_ok()
}

/// Believes the certificates that are named, and what they signed.
#[derive(Debug)]
struct Named {
    inner: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl Named {
    /// Nothing if none of them is a certificate, which kube has said already.
    fn new(own: &[Vec<u8>]) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        let certificates = own.iter().map(|der| CertificateDer::from(der.clone()));
        let own = certificates.filter(|own| roots.add(own.clone()).is_ok()).collect();
        let provider = Arc::new(default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Some(Self { inner: inner.build().ok()?, own })
    }
}

/// Whether nothing but who vouches for the certificate is wrong: its time is judged before.
fn is_about_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(why) = error else { return false };
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => true,
        CertificateError::Other(other) => {
            matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

/// Whether a certificate is signed with an algorithm that is not supported.
pub(crate) fn is_unverifiable(error: &Error) -> bool {
    use CertificateError::{
        UnsupportedSignatureAlgorithmContext, UnsupportedSignatureAlgorithmForPublicKeyContext,
    };
    matches!(
        error,
        Error::InvalidCertificate(
            UnsupportedSignatureAlgorithmContext { .. }
                | UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        )
    )
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner.verify_server_cert(shown, intermediates, name, ocsp_response, now);
        match verified {
            Err(error) if is_about_authority(&error) && self.own.iter().any(|own| own == shown) => {
                verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use std::time::Duration;

    fn params() -> CertificateParams {
        CertificateParams::new(vec!["api.example".to_owned()]).unwrap()
    }

    fn above() -> CertificateParams {
        let mut params = params();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    /// A certificate that another one signed, and the other one.
    fn signed() -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let authority = above().self_signed(&key).unwrap();
        let issuer = Issuer::new(above(), key);
        let leaf = params().signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        (leaf.der().to_vec(), authority.der().to_vec())
    }

    fn believed(named: &[u8], shown: &[u8], name: &str, seconds: u64) -> bool {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let shown = CertificateDer::from(shown.to_vec());
        let verifier = Named::new(&[named.to_vec()]).unwrap();
        verifier.verify_server_cert(&shown, &[], &name, &[], now).is_ok()
    }

    /// A sequence that ends before its length.
    const CUT: [u8; 5] = [0x30, 0x82, 0x01, 0x00, 0x02];
    pub(crate) const CUT_PEM: &str =
        "-----BEGIN CERTIFICATE-----\nMIIBAAI=\n-----END CERTIFICATE-----\n";

    pub(crate) const PEM: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBgDCCASWgAwIBAgIUPB4pFYsHTpGmCeP+pjO8bwwmWkgwCgYIKoZIzj0EAwIw\n\
        FDESMBAGA1UEAwwJYXV0aG9yaXR5MCAXDTI2MTEzMDIzNTQxN1oYDzIxMjYxMTA2\n\
        MjM1NDE3WjAUMRIwEAYDVQQDDAlhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjO\n\
        PQMBBwNCAARWsfgsY7VCafU7h1qKzbysCGL9LzAzxQ+K1f40SbZuKgYxAYU3IJ68\n\
        0ajx7I50rXLWgBkGY/k5OTVE6dFLtULuo1MwUTAdBgNVHQ4EFgQUGbi50uxg2QqK\n\
        ZG/sn34OS1DeDcgwHwYDVR0jBBgwFoAUGbi50uxg2QqKZG/sn34OS1DeDcgwDwYD\n\
        VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAlKHIPEOYp8ZY5Uap851u\n\
        n5QxozjSR/+jOnYh0gTHAlMCIQDepaRt0kTGq0jVNh0YGgLjrmB3ftHqSK1mnfTV\n\
        wzWPaQ==\n\
        -----END CERTIFICATE-----\n";

    fn config(authorities: &[&[u8]]) -> Config {
        let mut config = Config::new("https://api.example".parse().unwrap());
        config.root_cert = Some(authorities.iter().map(|der| der.to_vec()).collect());
        config
    }

    #[test]
    fn an_authority_that_cannot_be_read_is_left_out_where_another_is_left() {
        let authority = signed().1;
        let mut mixed = config(&[&CUT, &authority, &CUT]);
        let mut none = config(&[&CUT]);

        assert!(client(&mixed).is_ok());
        assert!(client(&none).is_err(), "as before, and not as if none had been named");
        without_unreadable(&mut mixed);
        without_unreadable(&mut none);
        assert_eq!(mixed.root_cert, Some(vec![authority]));
        assert_eq!(none.root_cert, Some(vec![CUT.to_vec()]));
    }

    #[test]
    fn a_file_with_one_that_cannot_be_read_is_read_once_and_any_other_stays_a_file() {
        let of = |text: String| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let mut config = config(&[]);
            config.root_cert_file = Some(file.path().to_owned());
            let is_used = client(&config).is_ok();
            without_unreadable(&mut config);
            (is_used, config.root_cert_file.is_some(), config.root_cert.unwrap().len())
        };

        assert_eq!(of(format!("{CUT_PEM}{PEM}")), (true, false, 1));
        assert_eq!(of(PEM.to_owned()), (true, true, 0));
        assert_eq!(of(CUT_PEM.to_owned()), (false, true, 0));
    }

    #[test]
    fn the_servers_own_certificate_is_believed_beside_one_that_cannot_be_read() {
        let (leaf, authority) = signed();
        let named = Named::new(&[CUT.to_vec(), leaf.clone()]).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
        let name = ServerName::try_from("api.example").unwrap();
        let shown =
            |der| named.verify_server_cert(&CertificateDer::from(der), &[], &name, &[], now);

        assert!(shown(leaf).is_ok());
        assert!(shown(authority).is_err());
        assert!(Named::new(&[CUT.to_vec()]).is_none());
    }

    const NOW: u64 = 1_764_000_000;

    #[test]
    fn the_servers_own_certificate_may_be_named_as_its_authority() {
        let (leaf, authority) = signed();
        let own = above().self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();

        assert!(believed(&authority, &leaf, "api.example", NOW));
        assert!(believed(&leaf, &leaf, "api.example", NOW));
        assert!(believed(&own, &own, "api.example", NOW));
    }

    #[test]
    fn it_is_believed_for_its_name_and_its_time_only_and_no_other_is() {
        let (leaf, authority) = signed();

        assert!(!believed(&leaf, &leaf, "evil.example", NOW));
        assert!(!believed(&leaf, &leaf, "api.example", 1));
        assert!(!believed(&leaf, &signed().0, "api.example", NOW));
        assert!(!believed(&leaf, &authority, "api.example", NOW));
    }
}
