//! The query of `/v1/report`, parsed and checked.
//!
//! In: the text after the `?`. Out: a [`Query`], or a message that names the parameter, the value
//! and what would be right. It must not look at the report.
//!
//! Pure: no I/O.

use super::tag::Since;
use crate::serve::sight::{NAMESPACES, is_namespace};
use probelet_core::facts::{Protocol, State};
use probelet_core::records::Direction;
use std::time::Duration;

/// What a client asks of the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Only what changed after it.
    pub(crate) since: Option<Since>,
    /// Wait that long for a change.
    pub(crate) wait: Option<Duration>,
    /// Only these records.
    pub(crate) filter: Filter,
}

/// Which processes, connections and listeners are shown; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// `namespace/name`.
    pub(crate) pod: Option<String>,
    /// Any of these; none is every one.
    pub(crate) namespaces: Vec<String>,
    pub(crate) pid: Option<u32>,
    /// A name, or the beginning of an id.
    pub(crate) container: Option<String>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) state: Option<State>,
    pub(crate) direction: Option<Direction>,
    /// Of either end.
    pub(crate) port: Option<u16>,
}

/// A query that cannot be answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("unknown parameter `{0}`: /v1/report takes {PARAMETERS}")]
    Unknown(String),
    #[error("`{0}` is given twice: give it once")]
    Twice(&'static str),
    #[error("`{name}={value}` is not understood: {expected}")]
    Value { name: &'static str, value: String, expected: &'static str },
    #[error("`{0}` is not percent-encoded UTF-8 text")]
    Encoding(String),
    #[error("`wait` needs something to wait on: add `since=EPOCH` or an If-None-Match header")]
    WaitAlone,
}

const PARAMETERS: &str =
    "since, wait, pod, namespace, pid, container, protocol, state, direction and port";
/// Longest long-poll.
const WAIT_MAX: f64 = 60.0;
/// Longest value that is repeated in an error.
const SHOWN: usize = 64;

const STATES: [State; 11] = [
    State::Established,
    State::SynSent,
    State::SynRecv,
    State::FinWait1,
    State::FinWait2,
    State::TimeWait,
    State::Close,
    State::CloseWait,
    State::LastAck,
    State::Listen,
    State::Closing,
];

impl Query {
    /// Parses the query; `conditional` says that there is an `If-None-Match` to wait on.
    pub(crate) fn parse(text: &str, conditional: bool) -> Result<Self, Error> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value).ok_or_else(|| Error::Encoding(shown(value)))?;
            query.set(name, &value)?;
        }
        if query.wait.is_some() && query.since.is_none() && !conditional {
            return Err(Error::WaitAlone);
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let filter = &mut self.filter;
        match name {
            "since" => put(
                &mut self.since,
                "since",
                value,
                Since::parse,
                "it takes an epoch or an ETag, like 1234 or 19ab-1234",
            ),
            "wait" => put(&mut self.wait, "wait", value, wait, "it takes seconds from 0 to 60"),
            "pod" => put(&mut filter.pod, "pod", value, pod, "it takes `namespace/name`"),
            "namespace" => {
                let mut named = None;
                if !filter.namespaces.is_empty() {
                    return Err(Error::Twice("namespace"));
                }
                put(
                    &mut named,
                    "namespace",
                    value,
                    names,
                    "it takes the names of 1 to 8 namespaces, with commas between them",
                )?;
                filter.namespaces = named.unwrap_or_default();
                Ok(())
            }
            "pid" => put(&mut filter.pid, "pid", value, number, "it takes a process id"),
            "container" => put(
                &mut filter.container,
                "container",
                value,
                container,
                "it takes a name or at least 3 characters of an id",
            ),
            "protocol" => {
                put(&mut filter.protocol, "protocol", value, protocol, "it takes tcp or udp")
            }
            "state" => put(
                &mut filter.state,
                "state",
                value,
                state,
                "it takes established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, \
                 unconnected, close-wait, last-ack, listen or closing",
            ),
            "direction" => put(
                &mut filter.direction,
                "direction",
                value,
                direction,
                "it takes outbound, inbound or unknown",
            ),
            "port" => {
                put(&mut filter.port, "port", value, number, "it takes a port from 1 to 65535")
            }
            _ => Err(Error::Unknown(shown(name))),
        }
    }
}

fn put<T>(
    slot: &mut Option<T>,
    name: &'static str,
    value: &str,
    parse: impl Fn(&str) -> Option<T>,
    expected: &'static str,
) -> Result<(), Error> {
    if slot.is_some() {
        return Err(Error::Twice(name));
    }
    *slot = parse(value);
    slot.is_some().then_some(()).ok_or_else(|| Error::Value { name, value: shown(value), expected })
}

/// A positive whole number.
fn number<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && *n >= T::from(1))
}

fn wait(text: &str) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|s| (0.0..=WAIT_MAX).contains(s))?;
    Some(Duration::from_secs_f64(seconds))
}

fn names(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> = text.split(',').take(NAMESPACES + 1).map(str::to_owned).collect();
    (names.len() <= NAMESPACES && names.iter().all(|name| is_namespace(name))).then_some(names)
}

/// The namespaces that a query names, by themselves or with a pod's name: which part of a report is asked for by who may not
/// see all of it. Whatever else stands in the query is for later.
pub(crate) fn namespaces(text: &str) -> Result<Vec<String>, Error> {
    let mut query = Query::default();
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if ["namespace", "pod"].contains(&name) {
            let value = decode(value).ok_or_else(|| Error::Encoding(shown(value)))?;
            query.set(name, &value)?;
        }
    }
    let Filter { pod, namespaces, .. } = query.filter;
    let of_pod = pod.as_deref().and_then(|pod| pod.split_once('/')).map(|(namespace, _)| namespace);
    match of_pod {
        Some(namespace) if namespaces.is_empty() => names(namespace).ok_or_else(|| Error::Value {
            name: "pod",
            value: shown(namespace),
            expected: "a namespace has small letters, digits and dashes",
        }),
        _ => Ok(namespaces),
    }
}

fn pod(text: &str) -> Option<String> {
    let (namespace, name) = text.split_once('/')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains('/')).then(|| text.to_owned())
}

fn container(text: &str) -> Option<String> {
    (text.len() >= 3).then(|| text.to_owned())
}

fn protocol(text: &str) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp].into_iter().find(|p| p.name() == text)
}

fn state(text: &str) -> Option<State> {
    STATES.into_iter().find(|s| s.name() == text)
}

fn direction(text: &str) -> Option<Direction> {
    [Direction::Outbound, Direction::Inbound, Direction::Unknown]
        .into_iter()
        .find(|d| d.name() == text)
}

fn shown(text: &str) -> String {
    let cut = text.chars().take(SHOWN).collect::<String>();
    if cut.len() < text.len() { cut + "…" } else { cut }
}

/// Undoes percent-encoding; `None` for half an escape or bytes that are not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Query::parse(text, false).unwrap_err().to_string()
    }

    #[test]
    fn every_parameter_is_understood() {
        let text = "since=7&wait=0.5&pod=shop%2Fweb-0&namespace=shop&pid=42&container=web\
                    &protocol=udp&state=time-wait&direction=inbound&port=443";

        let query = Query::parse(text, false).unwrap();

        assert_eq!(query.wait, Some(Duration::from_millis(500)));
        assert_eq!(query.filter.pod.as_deref(), Some("shop/web-0"));
        assert_eq!(query.filter.state, Some(State::TimeWait));
        assert_eq!(query.filter.port, Some(443));
    }

    #[test]
    fn namespaces_are_named_by_themselves_or_with_a_pod() {
        assert_eq!(namespaces("namespace=shop,ops&port=80").unwrap(), ["shop", "ops"]);
        assert_eq!(namespaces("since=1&pod=shop%2Fweb-0").unwrap(), ["shop"]);
        assert_eq!(namespaces("namespace=shop&pod=ops/web").unwrap(), ["shop"]);
        assert_eq!(namespaces("port=80").unwrap(), [""; 0]);
    }

    #[test]
    fn a_request_names_few_namespaces_and_only_what_can_be_one() {
        for text in
            ["namespace=a,b,c,d,e,f,g,h,i", "namespace=", "namespace=a,", "namespace=A", "pod=A/b"]
        {
            assert!(namespaces(text).is_err(), "{text}");
        }
        assert!(Query::parse("namespace=a,b,c,d,e,f,g,h", false).is_ok());
        assert_eq!(refused("namespace=a&namespace=b"), "`namespace` is given twice: give it once");
    }

    #[test]
    fn a_wrong_value_is_answered_with_what_would_be_right() {
        assert_eq!(refused("pid=abc"), "`pid=abc` is not understood: it takes a process id");
        assert_eq!(
            refused("protocol=sctp"),
            "`protocol=sctp` is not understood: it takes tcp or udp"
        );
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for text in [
            "port=0",
            "port=65536",
            "wait=61&since=1",
            "wait=-1&since=1",
            "wait=nan&since=1",
            "pid=+1",
            "pod=web",
        ] {
            assert!(Query::parse(text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_parameter_is_refused_and_the_right_ones_listed() {
        assert!(
            refused("sinse=3")
                .starts_with("unknown parameter `sinse`: /v1/report takes since, wait,")
        );
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        assert_eq!(refused("pid=1&pid=2"), "`pid` is given twice: give it once");
    }

    #[test]
    fn waiting_needs_something_to_wait_on() {
        assert_eq!(Query::parse("wait=1", false), Err(Error::WaitAlone));
        assert!(Query::parse("wait=1", true).is_ok());
    }

    #[test]
    fn broken_escapes_are_refused() {
        for text in ["container=%", "container=%f", "container=%zz1", "container=%ff%fe"] {
            assert!(matches!(Query::parse(text, false), Err(Error::Encoding(_))), "{text}");
        }
    }

    #[test]
    fn an_endless_value_is_not_repeated_in_full() {
        assert!(refused(&format!("pid={}", "9".repeat(5000))).len() < 200);
    }
}
