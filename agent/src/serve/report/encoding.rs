//! Compression of a response, as the client accepts it.
//!
//! In: `Accept-Encoding`, and pieces of text. Out: pieces of the encoded stream, with memory for
//! one piece and a small window: a full report never stands in memory as a whole.
//!
//! Pure: no I/O.

use flate2::write::GzEncoder;
use std::io::{self, Write as _};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder as ZstdEncoder;

/// How a response is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is.
    Identity,
    /// gzip.
    Gzip,
    /// Zstandard, preferred: a third of gzip's CPU time for the same size.
    Zstd,
}

/// zstd window of 32 KiB: the encoder then takes 200 KiB instead of 1.3 MiB.
const WINDOW_LOG: u32 = 15;

impl Encoding {
    /// The best one that the client accepts, by its q-values; among equals zstd, gzip, identity.
    pub(crate) fn negotiate(accept: Option<&str>) -> Self {
        let accept = accept.unwrap_or("");
        let candidates = [Self::Identity, Self::Gzip, Self::Zstd];
        let ranked = candidates.into_iter().map(|e| (e.quality(accept), e));
        let best = ranked.filter(|&(q, _)| q > 0).max_by_key(|&(q, e)| (q, e as u8));
        best.map_or(Self::Identity, |(_, e)| e)
    }

    /// The name in `Content-Encoding`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Thousandths; an encoding that is not named is only acceptable through `*`, and identity is
    /// unless it is ruled out, but as the last choice.
    fn quality(self, accept: &str) -> u16 {
        let mut star = None;
        for item in accept.split(',') {
            let (name, params) = item.split_once(';').unwrap_or((item, ""));
            let quality = quality(params);
            let name = name.trim();
            if name.eq_ignore_ascii_case(self.name()) {
                return quality;
            }
            if name == "*" {
                star = Some(quality);
            }
        }
        let implied = u16::from(self == Self::Identity);
        star.unwrap_or(implied)
    }
}

fn quality(params: &str) -> u16 {
    let mut q = params.split(';').filter_map(|p| p.trim().strip_prefix("q="));
    let value = q.next().map_or(Some(1.0), |v| v.trim().parse::<f32>().ok());
    // The cast saturates and a NaN becomes 0, which is what nonsense deserves.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    value.map_or(0, |v| (v.clamp(0.0, 1.0) * 1000.0) as u16)
}

/// An encoder and the bytes that it has ready.
pub(crate) enum Encoder {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Encoder {
    pub(crate) fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(1))),
            Encoding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), 1)?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Takes `piece`, leaving it empty, and gives what is ready to be sent; nothing, perhaps.
    pub(crate) fn push(&mut self, piece: &mut Vec<u8>) -> io::Result<Vec<u8>> {
        let ready = match self {
            Self::Identity => return Ok(std::mem::take(piece)),
            Self::Gzip(encoder) => {
                encoder.write_all(piece)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                encoder.write_all(piece)?;
                std::mem::take(encoder.get_mut())
            }
        };
        piece.clear();
        Ok(ready)
    }

    /// The end of the stream.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(Vec::new()),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn zstd_is_preferred_among_equals() {
        assert_eq!(Encoding::negotiate(Some("gzip, deflate, br, zstd")), Encoding::Zstd);
        assert_eq!(Encoding::negotiate(Some("gzip")), Encoding::Gzip);
        assert_eq!(Encoding::negotiate(Some("*")), Encoding::Zstd);
    }

    #[test]
    fn the_client_decides_by_q_values() {
        assert_eq!(Encoding::negotiate(Some("gzip;q=0.9, zstd;q=0.5")), Encoding::Gzip);
        assert_eq!(Encoding::negotiate(Some("zstd;q=0, gzip;q=0")), Encoding::Identity);
        assert_eq!(Encoding::negotiate(Some("identity, gzip;q=0.5")), Encoding::Identity);
    }

    #[test]
    fn no_header_or_a_strange_one_means_plain_text() {
        for accept in [None, Some(""), Some("br"), Some("gzip;q=x"), Some(";;,,q=")] {
            assert_eq!(Encoding::negotiate(accept), Encoding::Identity, "{accept:?}");
        }
    }

    #[test]
    fn what_is_encoded_in_pieces_decodes_to_the_whole() {
        let pieces: Vec<Vec<u8>> =
            (0..50_u32).map(|n| format!("piece {n} ").repeat(500).into_bytes()).collect();
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            let mut encoder = Encoder::new(encoding).unwrap();
            let mut sent = Vec::new();
            for piece in &pieces {
                sent.extend(encoder.push(&mut piece.clone()).unwrap());
            }
            sent.extend(encoder.finish().unwrap());

            let mut plain = Vec::new();
            match encoding {
                Encoding::Identity => plain.clone_from(&sent),
                Encoding::Gzip => {
                    assert!(
                        flate2::read::GzDecoder::new(&sent[..]).read_to_end(&mut plain).unwrap()
                            > 0
                    );
                }
                Encoding::Zstd => plain = zstd::stream::decode_all(&sent[..]).unwrap(),
            }
            assert_eq!(plain, pieces.concat());
        }
    }
}
