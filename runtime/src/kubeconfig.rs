//! A kubeconfig as client-go reads it.
//!
//! In: a file. Out: kube's value of it, in which a text that is empty is none, base64 has no ends of lines, and a server
//! without a scheme has the one that client-go gives it. kube is stricter, and refuses a file to all its users for what is
//! odd about one of them. It must not decide which context is meant. I/O: reads the file.

use std::path::Path;

use kube::config::{AuthInfo, Cluster, Kubeconfig, KubeconfigError};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let file = match Kubeconfig::read_from(path) {
        Err(strict @ KubeconfigError::Parse(_)) => match lenient(path) {
            Some(file) => file,
            None => return Err(without_lines(path).unwrap_or(strict)),
        },
        read => read?,
    };
    Ok(tidy(file, path.parent().unwrap_or(path)))
}

/// The same without the lines around it: there may be tokens in them.
fn without_lines(path: &Path) -> Option<KubeconfigError> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    let read = serde_saphyr::from_multiple_with_options::<Kubeconfig>(&text, options);
    Some(KubeconfigError::Parse(Box::new(read.err()?)))
}

/// What kube refuses and client-go does not: nulls where there may be nothing, and what was written twice.
fn lenient(path: &Path) -> Option<Kubeconfig> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut options = serde_saphyr::Options::default();
    options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::LastWins;
    let text = text.trim_start_matches('\u{feff}');
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).ok()?;
    let mut file = Kubeconfig::default();
    for mut document in documents {
        without_nulls(&mut document);
        with_names(&mut document);
        file = file.merge(Kubeconfig::from_yaml(&document.to_string()).ok()?).ok()?;
    }
    beside(&mut file, path.parent()?);
    Some(file)
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(without_nulls);
        }
        Value::Object(fields) => {
            let is_none = |key: &str, value: &Value| {
                (value.is_null() && key != "extension") || (key == "interactiveMode" && value == "")
            };
            fields.retain(|key, value| !is_none(key, value));
            fields.values_mut().for_each(without_nulls);
        }
        _ => {}
    }
}

/// What kube wants to be there.
fn with_names(document: &mut Value) {
    let empty = || Value::from("");
    for list in ["clusters", "users", "contexts"] {
        let entries = document.get_mut(list).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.entry("name").or_insert_with(empty);
            if let Some(context) = entry.get_mut("context").and_then(Value::as_object_mut) {
                context.entry("cluster").or_insert_with(empty);
            }
        }
    }
}

/// Files that are named without a place stand beside the kubeconfig.
fn beside(file: &mut Kubeconfig, folder: &Path) {
    let place = |path: &mut Option<String>| {
        let relative =
            path.as_ref().filter(|path| !path.is_empty() && Path::new(path).is_relative());
        if let Some(whole) = relative.and_then(|path| folder.join(path).to_str().map(str::to_owned))
        {
            *path = Some(whole);
        }
    };
    for cluster in clusters(file) {
        place(&mut cluster.certificate_authority);
    }
    for user in users(file) {
        place(&mut user.client_certificate);
        place(&mut user.client_key);
        place(&mut user.token_file);
        // A bare name is looked for as a shell does.
        let command = user.exec.as_mut().map(|exec| &mut exec.command);
        if let Some(command) = command.filter(|name| name.as_ref().is_some_and(|n| n.contains('/')))
        {
            place(command);
        }
    }
}

fn clusters(file: &mut Kubeconfig) -> impl Iterator<Item = &mut Cluster> {
    file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut())
}

fn users(file: &mut Kubeconfig) -> impl Iterator<Item = &mut AuthInfo> {
    file.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut())
}

fn tidy(mut file: Kubeconfig, folder: &Path) -> Kubeconfig {
    none_if_empty(&mut file.current_context);
    for user in users(&mut file) {
        let AuthInfo { token_file, client_certificate, client_key, .. } = user;
        for path in [token_file, client_certificate, client_key] {
            none_if_folder(path, folder);
        }
        tidy_user(user);
    }
    let certified = users(&mut file)
        .any(|user| user.client_certificate.is_some() || user.client_certificate_data.is_some());
    for cluster in clusters(&mut file) {
        none_if_folder(&mut cluster.certificate_authority, folder);
        tidy_cluster(cluster, certified);
    }
    for context in file.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
        none_if_empty(&mut context.namespace);
        none_if_empty(&mut context.user);
    }
    file
}

fn tidy_cluster(cluster: &mut Cluster, certified: bool) {
    let Cluster {
        server,
        certificate_authority,
        certificate_authority_data,
        proxy_url,
        tls_server_name,
        insecure_skip_tls_verify,
        ..
    } = cluster;
    joined(certificate_authority_data);
    for text in [
        &mut *server,
        &mut *certificate_authority,
        &mut *certificate_authority_data,
        proxy_url,
        tls_server_name,
    ] {
        none_if_empty(text);
    }
    let tls = certified
        || certificate_authority.is_some()
        || certificate_authority_data.is_some()
        || *insecure_skip_tls_verify == Some(true);
    if let Some(server) = server.as_mut().filter(|server| !server.contains("://")) {
        *server = format!("{}://{server}", if tls { "https" } else { "http" });
    }
}

fn tidy_user(user: &mut AuthInfo) {
    joined(&mut user.client_certificate_data);
    secret(&mut user.client_key_data, without_blanks);
    secret(&mut user.token, |token| token.trim_ascii().to_owned());
    secret(&mut user.password, str::to_owned);
    for text in [
        &mut user.username,
        &mut user.token_file,
        &mut user.client_certificate,
        &mut user.client_certificate_data,
        &mut user.client_key,
        &mut user.impersonate,
        &mut user.impersonate_uid,
    ] {
        none_if_empty(text);
    }
}

fn none_if_empty(text: &mut Option<String>) {
    if text.as_ref().is_some_and(String::is_empty) {
        *text = None;
    }
}

/// kube has looked for a file of no name beside the kubeconfig already, and found the folder.
fn none_if_folder(path: &mut Option<String>, folder: &Path) {
    if path.as_ref().is_some_and(|path| Path::new(path) == folder) {
        *path = None;
    }
}

/// A line that is wrapped is not the end of the value.
fn without_blanks(text: &str) -> String {
    text.split_ascii_whitespace().collect()
}

fn joined(base64: &mut Option<String>) {
    if let Some(text) =
        base64.as_mut().filter(|text| text.contains(|c: char| c.is_ascii_whitespace()))
    {
        *text = without_blanks(text);
    }
}

fn secret(value: &mut Option<SecretString>, clean: impl Fn(&str) -> String) {
    let cleaned = value.as_ref().map(|value| clean(value.expose_secret()));
    *value = cleaned.filter(|text| !text.is_empty()).map(SecretString::from);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Kubeconfig {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        read(&path).unwrap()
    }

    fn cluster(fields: &str) -> Cluster {
        let text = format!("clusters: [{{name: c, cluster: {{{fields}}}}}]");
        parsed(&text).clusters.remove(0).cluster.unwrap()
    }

    fn user(fields: &str) -> AuthInfo {
        let text = format!("users: [{{name: u, user: {{{fields}}}}}]");
        parsed(&text).auth_infos.remove(0).auth_info.unwrap()
    }

    #[test]
    fn texts_that_are_empty_are_none() {
        let file = parsed(
            "current-context: ''\ncontexts: [{name: a, context: {cluster: c, user: '', namespace: ''}}]\n",
        );
        let context = file.contexts[0].context.clone().unwrap();
        assert_eq!((file.current_context, context.user, context.namespace), (None, None, None));

        let cluster = cluster(
            "server: 'https://a', certificate-authority: /ca.crt, certificate-authority-data: '', proxy-url: '', tls-server-name: ''",
        );
        assert_eq!(cluster.certificate_authority.as_deref(), Some("/ca.crt"));
        assert_eq!(cluster.certificate_authority_data, None);
        assert_eq!((cluster.proxy_url, cluster.tls_server_name), (None, None));

        let nameless = self::cluster("server: 'https://a', certificate-authority: ''");
        assert_eq!(nameless.certificate_authority, None);

        let user = user(
            "token: '', tokenFile: '', username: '', password: '', client-key-data: '', as: ''",
        );
        assert!(user.token.is_none() && user.password.is_none() && user.client_key_data.is_none());
        assert_eq!((user.token_file, user.username, user.impersonate), (None, None, None));
    }

    #[test]
    fn base64_may_have_ends_of_lines() {
        let plain = "clusters:\n- name: c\n  cluster:\n    server: https://a\n    certificate-authority-data: |\n      QUJD\n      REVG\n";
        let ca = |text: &str| {
            parsed(text).clusters.remove(0).cluster.unwrap().certificate_authority_data
        };

        assert_eq!(ca(plain).as_deref(), Some("QUJDREVG"));
        // What it stands for is base64 with ends of lines again.
        let tagged =
            plain.replace("|\n      QUJD\n      REVG", "!!binary |\n      UVVKRApSRVZHCg==");
        assert_eq!(ca(&tagged).as_deref(), Some("QUJDREVG"));
        let user = user("client-key-data: \"QUJD\\nREVG\\n\", token: \"abc\\n\"");
        let text = |secret: Option<SecretString>| secret.unwrap().expose_secret().to_owned();
        assert_eq!(text(user.client_key_data), "QUJDREVG");
        assert_eq!(text(user.token), "abc");
    }

    #[test]
    fn what_is_odd_about_one_user_is_nothing_to_the_others() {
        let file = parsed(
            "apiVersion: v1\nkind: Config\npreferences: null\ncurrent-context: a\n\
             clusters: [{name: c, cluster: {server: 'https://a', certificate-authority: ca.crt}}]\n\
             contexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: {user: x}}, {name: d, context: {cluster: null}}]\n\
             users:\n- {name: u, user: {token: 1234, exec: null}}\n- {name: gke, user: {auth-provider: {name: gcp, config: null}}}\n\
             - {name: x, user: {exec: {command: bin/login, args: null, env: null, interactiveMode: '', provideClusterInfo: null}}}\n",
        );

        assert_eq!(file.current_context.as_deref(), Some("a"));
        assert_eq!((file.auth_infos.len(), file.contexts.len()), (3, 3));
        let first = file.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(first.token.as_ref().unwrap().expose_secret(), "1234");
        let exec = file.auth_infos[2].auth_info.as_ref().unwrap().exec.as_ref().unwrap();
        assert!(Path::new(exec.command.as_ref().unwrap()).is_absolute(), "{exec:?}");
        let ca = file.clusters[0].cluster.as_ref().unwrap().certificate_authority.as_ref().unwrap();
        assert!(Path::new(ca).is_absolute(), "{ca}");
    }

    #[test]
    fn what_is_written_twice_counts_as_it_stands_last() {
        let file = parsed("current-context: a\nusers: []\ncurrent-context: b\n");

        assert_eq!(file.current_context.as_deref(), Some("b"));
    }

    #[test]
    fn a_server_without_a_scheme_speaks_tls_where_anything_is_said_of_it() {
        let server = |fields: &str| cluster(fields).server.unwrap();

        assert_eq!(server("server: 'localhost:8080'"), "http://localhost:8080");
        assert_eq!(
            server("server: '10.0.0.1:6443', certificate-authority-data: QUJD"),
            "https://10.0.0.1:6443"
        );
        assert_eq!(
            server("server: '[fd00::1]:6443', insecure-skip-tls-verify: true"),
            "https://[fd00::1]:6443"
        );
        assert_eq!(server("server: 'http://a/k8s/clusters/c-1/'"), "http://a/k8s/clusters/c-1/");
    }

    #[test]
    fn what_is_no_kubeconfig_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        for odd in ["clusters: 7", "a: [", "[]"] {
            std::fs::write(&path, odd).unwrap();
            assert!(read(&path).is_err(), "{odd}");
        }
        std::fs::write(&path, "users: [{name: u, user: {token: secret}}]\nclusters: 7\n").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
        assert!(read(&folder.path().join("gone")).is_err());
    }
}
