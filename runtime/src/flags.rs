//! How the words of flags are read that agent and operator have in common; those of the log are in [`logging`](crate::logging).
//!
//! In: what was typed. Out: checked values, or what would be right. It must not know a flag that one program has alone.
//! Pure: values only.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Longest audience of a token.
const MAX_AUDIENCE: usize = 253;

/// Where to listen; `None` is not at all. Clap reads an `Option` as "may be left out", so that "switched off" needs a type of
/// its own.
#[derive(Debug, Clone)]
pub struct Listen(pub Option<SocketAddr>);

/// Reads an address, or `off`. The port is that of the example.
///
/// # Errors
/// What would be right.
pub fn listen<const PORT: u16>(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen(None));
    }
    text.parse().map(|address| Listen(Some(address))).map_err(|_| {
        format!("give an IP address with a port, such as 127.0.0.1:{PORT} or [::]:{PORT}, or off")
    })
}

/// Reads the path of a file.
///
/// # Errors
/// What would be right.
pub fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        Err("give the path of a file".to_owned())
    } else {
        Ok(PathBuf::from(text))
    }
}

/// Reads the audience of tokens: any text that a JSON string and a log line hold as it is.
///
/// # Errors
/// What would be right.
pub fn audience(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_graphic() && !b"\"\\".contains(&b);
    if (1..=MAX_AUDIENCE).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("give 1 to {MAX_AUDIENCE} printable characters without spaces and quotes"))
    }
}
