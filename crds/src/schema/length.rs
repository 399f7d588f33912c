//! How many bytes a status has as compact JSON, as an expression of CEL.
//!
//! In: where the status is. Out: the sum of its parts; a part that may be absent counts when it is there. It is exact but
//! for lists and for blocks that may be empty, which count a byte more. Texts have only letters of one byte, which
//! their patterns hold. Pure: text.

/// How long one member of an object is, with its key and a comma, given where the object is.
type Member = Box<dyn Fn(&str) -> String>;

pub(super) fn of_status(status: &str) -> String {
    let counts =
        ["processes", "sockets", "connections", "openFileDescriptors", "containers", "pods"];
    let flow = [
        text("source"),
        text("destination"),
        number("port"),
        text("protocol"),
        number("connections"),
    ];
    let process = [text("comm"), maybe("pod", text("pod")), amount("cpu")];
    let condition = [
        text("type"),
        text("status"),
        text("reason"),
        text("message"),
        member("lastTransitionTime", |_| "22".to_owned()),
        maybe("observedGeneration", number("observedGeneration")),
    ];
    let agent = vec![
        text("version"),
        text("source"),
        text("level"),
        maybe("levelReason", text("levelReason")),
        amount("cpu"),
        amount("budget"),
        text("memory"),
    ];
    let quality = vec![
        maybe("coverage", text("coverage")),
        unresolved(),
        maybe("unseen", number("unseen")),
        number("stalestSeconds"),
    ];
    let members = [
        number("observedGeneration"),
        text("appliedConfigHash"),
        maybe("lastReport", member("lastReport", |_| "22".to_owned())),
        block("agent", agent),
        block("summary", counts.map(number).into()),
        block("quality", quality),
        block(
            "top",
            vec![list("flows", flow.into()), list("processes", process.into()), if_empty()],
        ),
        block("report", vec![number("epoch"), text("digest"), number("bytes")]),
        block("capabilities", vec![texts("missing"), texts("lost"), if_empty()]),
        block("rights", vec![texts("start"), texts("kept"), texts("unprotected"), if_empty()]),
        list("conditions", condition.into()),
    ];
    object(status, &members)
}

/// Two braces, and each member with a comma but for the last one.
fn object(path: &str, members: &[Member]) -> String {
    let members: Vec<String> = members.iter().map(|member| member(path)).collect();
    format!("1 + {}", members.join(" + "))
}

/// The key in quotes, a colon, the value and a comma.
fn member(name: &'static str, value: impl Fn(&str) -> String + 'static) -> Member {
    Box::new(move |parent| format!("{} + {}", name.len() + 4, value(&format!("{parent}.{name}"))))
}

/// The comma that a block has not got when it has no members.
fn if_empty() -> Member {
    Box::new(|_| "1".to_owned())
}

fn maybe(name: &'static str, member: Member) -> Member {
    Box::new(move |parent| format!("(has({parent}.{name}) ? {} : 0)", member(parent)))
}

fn text(name: &'static str) -> Member {
    member(name, |path| format!("2 + size({path})"))
}

fn number(name: &'static str) -> Member {
    member(name, |path| format!("size(string({path}))"))
}

/// A number or text.
fn amount(name: &'static str) -> Member {
    member(name, |path| format!("2 + size(string({path}))"))
}

fn block(name: &'static str, members: Vec<Member>) -> Member {
    maybe(name, member(name, move |path| object(path, &members)))
}

fn list(name: &'static str, members: Vec<Member>) -> Member {
    let items = member(name, move |path| {
        format!("2 + {path}.map(each, 1 + {}).sum()", object("each", &members))
    });
    maybe(name, items)
}

fn texts(name: &'static str) -> Member {
    maybe(name, member(name, |path| format!("2 + {path}.map(each, 3 + size(each)).sum()")))
}

fn unresolved() -> Member {
    let entries = member("unresolved", |path| {
        format!("2 + {path}.map(key, 4 + size(key) + size(string({path}[key]))).sum()")
    });
    maybe("unresolved", entries)
}
