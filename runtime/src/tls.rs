//! TLS to an API server, verified as client-go verifies it.
//!
//! In: kube's configuration. Out: what rustls wants. Go believes a certificate that a kubeconfig names as the authority even if it is
//! the server's own: one that another authority signed, or that signs others as well. rustls wants an authority above the
//! server. Who shows exactly the certificate that the kubeconfig holds is believed, for the name that the certificate has,
//! as long as it is valid. Pure: certificates are in the configuration already.

use std::sync::Arc;

use kube::Config;
use kube::client::ConfigExt as _;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// How the server of a configuration is verified, and who we are to it.
///
/// # Errors
/// A certificate or key is none.
pub fn client(config: &Config) -> Result<ClientConfig, kube::Error> {
    let mut tls = config.rustls_client_config()?;
    let kept = !config.accept_invalid_certs && config.root_cert_file.is_none();
    let own = config.root_cert.as_deref().filter(|own| kept && !own.is_empty());
    if let Some(verifier) = own.and_then(Named::new) {
        tls.dangerous().set_certificate_verifier(Arc::new(verifier));
    }
    Ok(tls)
}

/// Believes the certificates that are named, and what they signed.
#[derive(Debug)]
struct Named {
    inner: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl Named {
    /// Nothing if one of them is no certificate, which kube has said already.
    fn new(own: &[Vec<u8>]) -> Option<Self> {
        let own: Vec<_> = own.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let mut roots = RootCertStore::empty();
        for certificate in &own {
            roots.add(certificate.clone()).ok()?;
        }
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
mod tests {
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
