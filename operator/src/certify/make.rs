//! Makes an authority, and the one certificate that it signs.
//!
//! In: the name that the certificate is for. Out: both, and the certificate's key. The authority's key is gone when this
//! returns: no one can sign another certificate in its name.
//!
//! I/O: random numbers, the clock.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use super::Holder;
use super::turn::{LIFE, Pair};

/// Clocks differ.
const BEFORE: Duration = Duration::from_hours(1);
/// For those who forward a port.
const LOCAL: &str = "localhost";

pub(super) fn pair(server: &str, holder: Holder) -> Result<Pair, rcgen::Error> {
    let authority_key = KeyPair::generate()?;
    let made = super::now();
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // A name of its own for each, by which verifiers find the one that signed.
    authority.distinguished_name = called(&format!("probelet {} {made}", holder.name()));
    limit(&mut authority);
    let certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::from_params(&authority, &authority_key);

    let key = KeyPair::generate()?;
    let mut own = CertificateParams::new(vec![server.to_owned(), LOCAL.to_owned()])?;
    own.distinguished_name = called(&format!("probelet {}", holder.name()));
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    own.use_authority_key_identifier_extension = true;
    limit(&mut own);
    let signed = own.signed_by(&key, &issuer)?;
    let [authority, certificate] = [certificate.pem(), signed.pem()];
    Ok(Pair { made, authority, certificate, key: key.serialize_pem() })
}

fn called(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn limit(params: &mut CertificateParams) {
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + Duration::from_secs(LIFE)).into();
}
