//! A certificate of the agent's own, for where no one gives it one.
//!
//! In: the node's name and addresses. Out: a certificate and its key. The key must not leave the process.
//!
//! It lasts ten years: it is made again at each start and no one can vouch for it, so a short life would protect no one,
//! and would end while an agent that nothing disturbs still runs. It keeps those out who only listen; it does not tell
//! whom one talks to. Anyone who needs that gives the agent a certificate of their own.
//!
//! I/O: random numbers, the clock.

use super::{Error, provider};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Clocks differ.
const BEFORE: Duration = Duration::from_hours(24);
const LIFE: Duration = Duration::from_hours(24 * 3653);

pub(super) fn make(name: &str, addresses: &[IpAddr]) -> Result<CertifiedKey, Error> {
    let own = |error: rcgen::Error| Error::Own(error.to_string());
    let key = KeyPair::generate().map_err(own)?;
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(own)?;
    let addresses = addresses.iter().map(|&address| SanType::IpAddress(address));
    params.subject_alt_names.extend(addresses);
    params.distinguished_name = rcgen::DistinguishedName::new();
    // A common name has at most 64 characters; the whole name is among the alternatives.
    let common: String = name.chars().take(64).collect();
    params.distinguished_name.push(DnType::CommonName, common);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + LIFE).into();
    let certificate = params.self_signed(&key).map_err(own)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider()).map_err(Error::Setup)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_the_node_and_its_addresses() {
        let address: IpAddr = "10.11.12.13".parse().unwrap();

        let pair = make("node-1.example", &[address]).unwrap();

        let der: &[u8] = &pair.cert[0];
        let holds = |what: &[u8]| der.windows(what.len()).any(|part| part == what);
        assert!(holds(b"node-1.example") && holds(&[10, 11, 12, 13]));
    }

    #[test]
    fn each_start_makes_another_key() {
        let pair = || make("n", &[]).unwrap().cert[0].to_vec();

        assert_ne!(pair(), pair());
    }
}
