//! Writes JSON by appending to a buffer: no tree, no allocation, no formatting machinery for the
//! values that a report has by the ten thousand.
//!
//! In: plain values. Out: bytes at the end of a `Vec<u8>`. It must not know what a record is.
//!
//! Pure: no I/O.

use probelet_core::facts::{Comm, Endpoint};
use probelet_core::text::{acts, clean_bytes};
use std::io::Write as _;
use std::net::IpAddr;

const DIGITS: &[u8; 200] = b"0001020304050607080910111213141516171819\
    2021222324252627282930313233343536373839\
    4041424344454647484950515253545556575859\
    6061626364656667686970717273747576777879\
    8081828384858687888990919293949596979899";

/// A whole number.
pub(crate) fn int(out: &mut Vec<u8>, mut n: u64) {
    let mut buf = [0; 20];
    let mut at = buf.len();
    while n >= 100 {
        let digits = pair(n % 100);
        n /= 100;
        at -= 2;
        buf[at..at + 2].copy_from_slice(&DIGITS[digits..digits + 2]);
    }
    if n >= 10 {
        let digits = pair(n);
        at -= 2;
        buf[at..at + 2].copy_from_slice(&DIGITS[digits..digits + 2]);
    } else {
        at -= 1;
        buf[at] = DIGITS[pair(n) + 1];
    }
    out.extend_from_slice(&buf[at..]);
}

/// Where the two digits of a number below 100 stand.
#[expect(clippy::cast_possible_truncation, reason = "below 100")]
const fn pair(n: u64) -> usize {
    n as usize * 2
}

/// `n` divided by ten to the power of `places`, exactly, without trailing zeros.
pub(crate) fn decimal(out: &mut Vec<u8>, n: u64, places: usize) {
    let unit = 10_u64.pow(u32::try_from(places).unwrap_or(0));
    int(out, n / unit);
    let mut rest = n % unit;
    if rest == 0 {
        return;
    }
    out.push(b'.');
    let mut unit = unit / 10;
    while rest > 0 {
        out.push(DIGITS[pair(rest / unit) + 1]);
        rest %= unit;
        unit /= 10;
    }
}

/// A number with a fraction; `null` for what JSON has no word for.
pub(crate) fn float(out: &mut Vec<u8>, x: f64) {
    if x.is_finite() {
        write(out, format_args!("{x}"));
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Formatted text; the caller vouches that it needs no escapes.
pub(crate) fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}

/// A string with its quotes. Bytes that are not UTF-8 become U+FFFD, as JSON must be UTF-8.
pub(crate) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.iter().all(|&b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\') {
        out.extend_from_slice(text);
    } else {
        for chunk in text.utf8_chunks() {
            escaped(out, chunk.valid());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    out.push(b'"');
}

/// Nothing in it acts on who looks at the bytes: that is escaped as well.
fn escaped(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if acts(c) => {
                for half in c.encode_utf16(&mut [0; 2]) {
                    write(out, format_args!("\\u{half:04x}"));
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// A process's name, as it is to be shown.
pub(crate) fn comm(out: &mut Vec<u8>, comm: Comm) {
    let bytes = comm.bytes();
    if bytes.iter().all(|&b| (0x20..0x7f).contains(&b)) {
        string(out, bytes);
    } else {
        string(out, clean_bytes(bytes).as_bytes());
    }
}

/// A string, or `null`.
pub(crate) fn string_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => string(out, text.as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
}

/// A whole number, or `null`.
pub(crate) fn int_or_null(out: &mut Vec<u8>, n: Option<u64>) {
    match n {
        Some(n) => int(out, n),
        None => out.extend_from_slice(b"null"),
    }
}

/// `"ip:port"` or `"[ip6]:port"`.
pub(crate) fn endpoint(out: &mut Vec<u8>, endpoint: Endpoint) {
    out.push(b'"');
    let ip = endpoint.ip();
    if ip.is_ipv6() {
        out.push(b'[');
    }
    address(out, ip);
    out.extend_from_slice(if ip.is_ipv6() { b"]:" } else { b":" });
    int(out, u64::from(endpoint.port));
    out.push(b'"');
}

/// An address, without quotes.
pub(crate) fn address(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            for (n, octet) in v4.octets().into_iter().enumerate() {
                if n > 0 {
                    out.push(b'.');
                }
                int(out, u64::from(octet));
            }
        }
        IpAddr::V6(v6) => write(out, format_args!("{v6}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn whole_numbers_read_as_the_standard_library_writes_them() {
        for n in [0, 1, 9, 10, 42, 99, 100, 101, 999, 1000, 65_535, 4_294_967_296, u64::MAX] {
            assert_eq!(text(|out| int(out, n)), n.to_string());
        }
    }

    #[test]
    fn fractions_are_exact_and_carry_no_empty_zeros() {
        assert_eq!(text(|out| decimal(out, 1_500_000_000, 9)), "1.5");
        assert_eq!(text(|out| decimal(out, 7, 9)), "0.000000007");
        assert_eq!(text(|out| decimal(out, 3000, 3)), "3");
        assert_eq!(text(|out| decimal(out, 1_700_000_000_010, 3)), "1700000000.01");
    }

    #[test]
    fn any_name_a_process_may_give_itself_is_valid_json() {
        for name in [
            &b"a\"b\\c"[..],
            b"\x01\x1f\n\t\x7f",
            "\u{9b}31m \u{202e} \u{e0041}".as_bytes(),
            "na\u{ef}ve".as_bytes(),
            b"cut\xc3",
            b"\xff\xfe",
            b"",
        ] {
            let json = text(|out| string(out, name));

            let back: String = serde_json::from_str(&json).unwrap();
            assert_eq!(back, String::from_utf8_lossy(name), "{json}");
            assert!(!json.chars().any(acts), "{json:?}");
        }
    }

    #[test]
    fn a_process_is_shown_by_a_name_that_does_nothing() {
        assert_eq!(text(|out| comm(out, Comm::new(b"web \"1\""))), r#""web \"1\"""#);
        assert_eq!(text(|out| comm(out, Comm::new(b"\x1b]0;x\n"))), r#""\\x1b]0;x\\x0a""#);
    }

    #[test]
    fn endpoints_are_written_as_they_display() {
        let v6 = Endpoint::v6("2001:db8::1".parse::<Ipv6Addr>().unwrap(), 443);
        for end in [Endpoint::v4(Ipv4Addr::new(10, 0, 200, 1), 80), v6, Endpoint::default()] {
            assert_eq!(text(|out| endpoint(out, end)), format!("\"{end}\""));
        }
    }
}
