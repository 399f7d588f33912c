//! Who we are to the API server, where a kubeconfig says it by a token, a file, a password or a command.
//!
//! In: kube's configuration. Out: [`Credentials`], which give the header of a request, and a configuration that holds
//! nothing of it any more. kube would run a command once for its token, again for its certificate and again for a proxy,
//! each time asking the person who has to confirm it, and takes the end of a line for a part of a token. I/O: files, the command.

mod command;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use jiff::Timestamp;
use kube::Config;
use kube::config::{AuthInfo, ExecConfig};
use probelet_core::base64::base64;
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use command::Granted;

/// A token of a file is read again after so long, as client-go does: kubelets renew such files.
const FRESH: Duration = Duration::from_mins(1);
/// A token that ends within this time, in seconds, is replaced before it is sent.
const ENDING: i64 = 10;

/// What is shown to the API server.
#[derive(Clone, Default)]
pub struct Credentials(Option<Arc<Source>>);

enum Source {
    Fixed(HeaderValue),
    File { path: String, kept: Mutex<(HeaderValue, Instant)> },
    Command { exec: Box<ExecConfig>, kept: Mutex<Kept> },
}

/// What a command gave.
struct Kept {
    header: HeaderValue,
    ends: Option<Timestamp>,
    refused: bool,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A header cannot hold it.
    #[error("the token or password of the kubeconfig has letters that cannot be sent")]
    Letters,
    /// The file with the token.
    #[error("cannot read the token file {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        why: std::io::Error,
    },
    /// Nothing is in it.
    #[error("the token file {path} is empty")]
    Empty {
        /// Which.
        path: String,
    },
    /// The command.
    #[error(transparent)]
    Command(#[from] command::Error),
}

impl Credentials {
    /// Takes them out of a configuration. A certificate that a command gives is put into it.
    ///
    /// # Errors
    /// A file cannot be read, or the command gives nothing.
    pub fn take(config: &mut Config) -> Result<Self, Error> {
        let auth = &mut config.auth_info;
        let (token, file) = (auth.token.take(), auth.token_file.take());
        let (name, password) = (auth.username.take(), auth.password.take());
        let exec = auth.exec.take();
        let token = token.as_ref().map(ExposeSecret::expose_secret);
        let source = if let Some(path) = file {
            match (read(&path), token) {
                (Ok(header), _) => {
                    Source::File { path, kept: Mutex::new((header, Instant::now())) }
                }
                (Err(_), Some(token)) => Source::Fixed(bearer(token)?),
                (Err(error), None) => return Err(error),
            }
        } else if let Some(token) = token {
            Source::Fixed(bearer(token)?)
        } else if let Some(name) = name {
            let password = password.as_ref().map_or("", |password| password.expose_secret());
            Source::Fixed(header(&format!(
                "Basic {}",
                base64(format!("{name}:{password}").as_bytes())
            ))?)
        } else if let Some(exec) = exec {
            return Self::granted(auth, exec);
        } else {
            return Ok(Self(None));
        };
        Ok(Self(Some(Arc::new(source))))
    }

    fn granted(auth: &mut AuthInfo, exec: ExecConfig) -> Result<Self, Error> {
        let Granted { token, identity, ends } = command::run(&exec)?;
        if let Some((certificate, key)) = identity {
            (auth.client_certificate, auth.client_key) = (None, None);
            auth.client_certificate_data = Some(base64(certificate.as_bytes()));
            auth.client_key_data = Some(base64(key.as_bytes()).into());
        }
        let Some(token) = token else { return Ok(Self(None)) };
        let kept = Mutex::new(Kept { header: bearer(&token)?, ends, refused: false });
        Ok(Self(Some(Arc::new(Source::Command { exec: Box::new(exec), kept }))))
    }

    /// The header of the next request.
    ///
    /// # Errors
    /// A command has to be run again and gives nothing.
    pub async fn header(&self) -> Result<Option<HeaderValue>, Error> {
        let Some(source) = &self.0 else { return Ok(None) };
        Ok(Some(match &**source {
            Source::Fixed(header) => header.clone(),
            Source::File { path, kept } => {
                let mut kept = kept.lock().await;
                if kept.1.elapsed() >= FRESH {
                    // What was read last is better than nothing: some take such files away once they were read.
                    let again = read(path).unwrap_or_else(|_| kept.0.clone());
                    *kept = (again, Instant::now());
                }
                kept.0.clone()
            }
            Source::Command { exec, kept } => {
                let mut kept = kept.lock().await;
                if kept.is_over() {
                    *kept = again(exec.as_ref().clone()).await?;
                }
                kept.header.clone()
            }
        }))
    }

    /// The API server did not accept them: a command is asked for others before the next request.
    pub async fn refused(&self) {
        if let Some(Source::Command { kept, .. }) = self.0.as_deref() {
            kept.lock().await.refused = true;
        }
    }
}

impl Kept {
    fn is_over(&self) -> bool {
        let left = self.ends.map(|ends| ends.as_second() - Timestamp::now().as_second());
        self.refused || left.is_some_and(|left| left < ENDING)
    }
}

/// A certificate of a command stays that of the start: a connection cannot be given another one.
async fn again(exec: ExecConfig) -> Result<Kept, Error> {
    let run = tokio::task::spawn_blocking(move || command::run(&exec));
    let Granted { token, ends, .. } = run.await.map_err(|_| command::Error::Stopped)??;
    let token = token.ok_or(command::Error::Stopped)?;
    Ok(Kept { header: bearer(&token)?, ends, refused: false })
}

fn read(path: &str) -> Result<HeaderValue, Error> {
    let token =
        std::fs::read_to_string(path).map_err(|why| Error::File { path: path.to_owned(), why })?;
    match token.trim_ascii() {
        "" => Err(Error::Empty { path: path.to_owned() }),
        token => bearer(token),
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    header(&format!("Bearer {token}"))
}

fn header(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(text).map_err(|_| Error::Letters)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(auth: AuthInfo) -> (Result<Credentials, Error>, Config) {
        let mut config = Config::new("https://a".parse().unwrap());
        config.auth_info = auth;
        (Credentials::take(&mut config), config)
    }

    async fn shown(auth: AuthInfo) -> Option<String> {
        let credentials = taken(auth).0.unwrap();
        let header = credentials.header().await.unwrap();
        header.map(|header| header.to_str().unwrap().to_owned())
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it");
        std::fs::write(&path, text).unwrap();
        (folder, path.to_str().unwrap().to_owned())
    }

    /// A command that says how often it ran.
    fn exec(script: &str) -> ExecConfig {
        let args = Some(vec!["-c".to_owned(), script.to_owned()]);
        ExecConfig { command: Some("sh".to_owned()), args, ..ExecConfig::default() }
    }

    #[tokio::test]
    async fn the_token_of_a_file_stands_above_the_one_beside_it() {
        let (_folder, path) = file(" abc\n");
        let token = || Some("old".to_owned().into());
        let auth = |path: &str| AuthInfo {
            token: token(),
            token_file: Some(path.to_owned()),
            ..AuthInfo::default()
        };

        assert_eq!(shown(auth(&path)).await.as_deref(), Some("Bearer abc"));
        assert_eq!(shown(auth("/gone")).await.as_deref(), Some("Bearer old"));
        let alone = AuthInfo { token_file: Some("/gone".to_owned()), ..AuthInfo::default() };
        assert!(taken(alone).0.is_err());
        let (_folder, empty) = file("\n");
        let empty = AuthInfo { token_file: Some(empty), ..AuthInfo::default() };
        assert!(taken(empty).0.is_err());
    }

    #[tokio::test]
    async fn a_name_may_have_no_password() {
        let auth = AuthInfo { username: Some("me".to_owned()), ..AuthInfo::default() };

        assert_eq!(shown(auth).await.as_deref(), Some("Basic bWU6"));
        assert_eq!(shown(AuthInfo::default()).await, None);
    }

    #[tokio::test]
    async fn a_command_runs_once_for_all_that_it_gives() {
        let (_folder, log) = file("");
        let script = format!(
            "echo ran >>{log}; echo '{{\"status\": {{\"token\": \"abc\", \"clientCertificateData\": \"C\", \"clientKeyData\": \"K\"}}}}'"
        );
        let (credentials, config) =
            taken(AuthInfo { exec: Some(exec(&script)), ..AuthInfo::default() });

        let header = credentials.unwrap().header().await.unwrap().unwrap();

        assert_eq!(header, "Bearer abc");
        assert_eq!(config.auth_info.client_certificate_data.as_deref(), Some("Qw=="));
        assert!(config.auth_info.exec.is_none(), "kube would run it again");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "ran\n");
    }

    #[tokio::test]
    async fn a_command_runs_again_when_its_token_ends_or_is_refused() {
        let (_folder, log) = file("");
        let script = |ends: &str| {
            format!(
                "echo ran >>{log}; printf '{{\"status\": {{\"token\": \"%s\", \"expirationTimestamp\": {ends}}}}}' $(wc -l <{log})"
            )
        };
        let given = |script: &str| {
            taken(AuthInfo { exec: Some(exec(script)), ..AuthInfo::default() }).0.unwrap()
        };
        let over = given(&script("\"2020-01-01T00:00:00Z\""));
        assert_eq!(over.header().await.unwrap().unwrap(), "Bearer 2");

        let endless = given(&script("null"));
        assert_eq!(endless.header().await.unwrap().unwrap(), "Bearer 3");
        endless.refused().await;
        assert_eq!(endless.header().await.unwrap().unwrap(), "Bearer 4");
        assert_eq!(endless.header().await.unwrap().unwrap(), "Bearer 4");
    }

    #[test]
    fn what_is_no_header_is_said_without_showing_it() {
        let auth = AuthInfo { token: Some("se\ncret".to_owned().into()), ..AuthInfo::default() };

        let error = taken(auth).0.err().unwrap().to_string();

        assert!(!error.contains("cret"), "{error}");
    }
}
