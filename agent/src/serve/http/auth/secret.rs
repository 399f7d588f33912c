//! A key of this process: what is remembered of a token is a hash with it, which is of no use elsewhere and which no
//! client can choose.
//!
//! In: texts. Out: their hash. It must not be kept over a restart.
//!
//! I/O: random numbers, once.

use super::Error;
use super::cache::Key;
use ring::{hmac, rand::SystemRandom};

pub(super) struct Secret(hmac::Key);

impl Secret {
    pub(super) fn new() -> Result<Self, Error> {
        let key =
            hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| Error)?;
        Ok(Self(key))
    }

    /// The hash of some texts, one after the other.
    pub(super) fn hash(&self, texts: &[&[u8]]) -> Key {
        let mut hash = hmac::Context::with_key(&self.0);
        for text in texts {
            hash.update(text);
        }
        let mut key = [0; 32];
        key.copy_from_slice(hash.sign().as_ref());
        key
    }
}
