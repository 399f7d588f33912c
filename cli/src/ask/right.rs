//! Which right a request needs, in the words of `kubectl auth can-i`.
//!
//! In: a method and a path. Out: verb, resource and namespace. Pure: text to value.

use std::fmt;

use hyper::Method;

/// A right, as the API server judges by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// `get`, `list`, `patch`, `create`, `delete`.
    pub verb: &'static str,
    /// The resource with its group and subresource, or a path.
    pub resource: String,
    /// Of namespaced resources.
    pub namespace: Option<String>,
}

impl Right {
    /// The right that a request needs.
    #[must_use]
    pub fn of(method: &Method, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
        let (group, rest) = match words.as_slice() {
            ["api", _, rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => ("", &[][..]),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            rest => (None, rest),
        };
        let verb = |one: bool| match *method {
            Method::PATCH => "patch",
            Method::POST => "create",
            Method::DELETE => "delete",
            _ if one => "get",
            _ if query.contains("watch=") => "watch",
            _ => "list",
        };
        let Some((resource, rest)) = rest.split_first() else {
            let resource = path.to_owned();
            return Self { verb: verb(true), resource, namespace: None };
        };
        let mut name = (*resource).to_owned();
        if !group.is_empty() {
            name = format!("{name}.{group}");
        }
        if let Some(subresource) = rest.get(1) {
            name = format!("{name}/{subresource}");
        }
        Self {
            verb: verb(!rest.is_empty()),
            resource: name,
            namespace: namespace.map(str::to_owned),
        }
    }

    /// The command that shows whether one has it.
    #[must_use]
    pub fn check(&self) -> String {
        let namespace =
            self.namespace.as_ref().map_or(String::new(), |namespace| format!(" -n {namespace}"));
        match self.resource.split_once('/') {
            Some((resource, subresource)) if !resource.is_empty() => format!(
                "kubectl auth can-i {} {resource} --subresource={subresource}{namespace}",
                self.verb
            ),
            _ => format!("kubectl auth can-i {} {}{namespace}", self.verb, self.resource),
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in the namespace {namespace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_the_rights_that_they_need() {
        for (method, path, right, check) in [
            (
                Method::GET,
                "/apis/probelet.io/v1alpha1/nodeprobes?limit=500",
                "list nodeprobes.probelet.io",
                "kubectl auth can-i list nodeprobes.probelet.io",
            ),
            (
                Method::GET,
                "/api/v1/namespaces/probelet/pods/https:a:9466/proxy/v1/report",
                "get pods/proxy in the namespace probelet",
                "kubectl auth can-i get pods --subresource=proxy -n probelet",
            ),
            (
                Method::POST,
                "/api/v1/namespaces/probelet/serviceaccounts/probelet-viewer/token",
                "create serviceaccounts/token in the namespace probelet",
                "kubectl auth can-i create serviceaccounts --subresource=token -n probelet",
            ),
            (Method::GET, "/api/v1/nodes/n1", "get nodes", "kubectl auth can-i get nodes"),
            (Method::GET, "/version", "get /version", "kubectl auth can-i get /version"),
        ] {
            let found = Right::of(&method, path);
            assert_eq!((found.to_string().as_str(), found.check().as_str()), (right, check));
        }
    }
}
