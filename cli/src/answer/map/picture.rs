//! Maps as pictures: Graphviz, Mermaid, and SVG without any tool.
//!
//! In: edges. Out: text in one of three languages. Names are strangers' text and are escaped for each. Pure: values only.

mod layout;

use std::collections::BTreeMap;

use self::layout::{Layout, Place};
use super::Edge;
use crate::show::put;

/// Fills of namespaces, in turn; dark text is readable on all of them.
const FILLS: [&str; 6] = ["#dbeafe", "#dcfce7", "#fef3c7", "#fce7f3", "#ede9fe", "#ccfbf1"];
const OUTSIDE: &str = "#f3f4f6";

/// The namespace of an end, if it has one.
fn namespace(end: &str) -> Option<&str> {
    let mut words = end.split('/');
    let (first, rest) = (words.next()?, words.count());
    (rest >= 2).then_some(first)
}

/// An end without its namespace.
fn short(end: &str) -> &str {
    namespace(end).map_or(end, |namespace| &end[namespace.len() + 1..])
}

fn ends(edges: &[Edge]) -> Vec<&str> {
    let mut ends: Vec<&str> = edges.iter().flat_map(|e| [e.from.as_str(), e.to.as_str()]).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// Ends by their namespaces; those without one last.
fn grouped<'a>(ends: &[&'a str]) -> Vec<(Option<&'a str>, Vec<&'a str>)> {
    let mut groups: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for end in ends {
        groups.entry(namespace(end)).or_default().push(end);
    }
    let outside = groups.remove(&None);
    groups.into_iter().chain(outside.map(|ends| (None, ends))).collect()
}

fn label(edge: &Edge) -> String {
    let udp = if edge.protocol == "udp" { "/udp" } else { "" };
    let problems: Vec<&str> = edge.health.problems.iter().map(String::as_str).collect();
    let wrong =
        if problems.is_empty() { String::new() } else { format!(" {}", problems.join(" ")) };
    format!("{}{udp}{wrong}", edge.port)
}

/// How a line is drawn on which something is wrong: in a colour, and heavier, for readers who cannot tell colours apart.
const SICK: (&str, u32) = ("#dc2626", 3);

/// For Graphviz.
#[must_use]
pub(super) fn dot(edges: &[Edge]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = String::from(
        "digraph probelet {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f3f4f6\"];\n",
    );
    for (at, (group, ends)) in grouped(&ends(edges)).into_iter().enumerate() {
        let inside = group.is_some();
        if let Some(namespace) = group {
            let fill = FILLS[at % FILLS.len()];
            put(
                &mut out,
                format_args!(
                    "  subgraph {} {{\n    label={};\n    node [fillcolor=\"{fill}\"];\n",
                    quoted(&format!("cluster_{namespace}")),
                    quoted(namespace)
                ),
            );
        }
        for end in ends {
            put(&mut out, format_args!("    {} [label={}];\n", quoted(end), quoted(short(end))));
        }
        if inside {
            out.push_str("  }\n");
        }
    }
    for edge in edges {
        let (from, to) = (quoted(&edge.from), quoted(&edge.to));
        let label = quoted(&label(edge));
        if edge.health.problems.is_empty() {
            put(&mut out, format_args!("  {from} -> {to} [label={label}];\n"));
        } else {
            let (colour, width) = SICK;
            put(
                &mut out,
                format_args!(
                    "  {from} -> {to} [label={label}, color=\"{colour}\", fontcolor=\"{colour}\", penwidth={width}];\n"
                ),
            );
        }
    }
    out.push_str("}\n");
    out
}

/// For Markdown pages.
#[must_use]
pub(super) fn mermaid(edges: &[Edge]) -> String {
    let all = ends(edges);
    let id = |end: &str| format!("n{}", all.binary_search(&end).unwrap_or(0));
    // A number sign begins a letter that is written by its number: the name's own come first.
    let text = |text: &str| {
        let text = text.replace('#', "#35;").replace('"', "#quot;").replace('&', "#amp;");
        text.replace(['<', '>', '`'], " ")
    };
    let mut out = String::from("flowchart LR\n");
    for (at, (group, ends)) in grouped(&all).into_iter().enumerate() {
        if let Some(namespace) = group {
            put(&mut out, format_args!("  subgraph ns{at}[\"{}\"]\n", text(namespace)));
        }
        for end in ends {
            put(&mut out, format_args!("    {}[\"{}\"]\n", id(end), text(short(end))));
        }
        if group.is_some() {
            out.push_str("  end\n");
        }
    }
    for edge in edges {
        put(&mut out, format_args!("  {} -->|{}| {}\n", id(&edge.from), label(edge), id(&edge.to)));
    }
    let (colour, width) = SICK;
    for (nth, _) in edges.iter().enumerate().filter(|(_, edge)| !edge.health.problems.is_empty()) {
        put(&mut out, format_args!("  linkStyle {nth} stroke:{colour},stroke-width:{width}px\n"));
    }
    out
}

/// A picture for browsers, of one file.
#[must_use]
pub(super) fn svg(edges: &[Edge]) -> String {
    let all = ends(edges);
    let groups: Vec<Option<&str>> = grouped(&all).into_iter().map(|(group, _)| group).collect();
    let Layout { places, width, height } = layout::layout(&all, edges);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"9\" markerHeight=\"9\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#475569\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let place = |end: &str| all.binary_search(&end).ok().and_then(|at| places.get(at)).copied();
    let mut lines: BTreeMap<(&str, &str), Vec<&Edge>> = BTreeMap::new();
    for edge in edges {
        lines.entry((&edge.from, &edge.to)).or_default().push(edge);
    }
    for ((from, to), ports) in lines {
        if let (Some(from), Some(to)) = (place(from), place(to)) {
            line(&mut out, &ports, from, to);
        }
    }
    for (end, at) in all.iter().zip(&places) {
        let of = groups.iter().position(|group| *group == namespace(end)).unwrap_or(0);
        let fill = if namespace(end).is_some() { FILLS[of % FILLS.len()] } else { OUTSIDE };
        let Place { x, y, w, h } = at;
        let (middle, upper, lower) = (x + w / 2, y + 16, y + 31);
        put(
            &mut out,
            format_args!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"6\" fill=\"{fill}\" stroke=\"#475569\"/>\
             <text x=\"{middle}\" y=\"{upper}\" text-anchor=\"middle\" fill=\"#64748b\" font-size=\"10\">{}</text>\
             <text x=\"{middle}\" y=\"{lower}\" text-anchor=\"middle\" fill=\"#0f172a\">{}</text>\n",
                escaped(namespace(end).unwrap_or("")),
                escaped(short(end))
            ),
        );
    }
    out.push_str("</svg>\n");
    out
}

/// One line for all ports between two ends.
fn line(out: &mut String, ports: &[&Edge], from: Place, to: Place) {
    let busy: u64 = ports.iter().map(|edge| edge.opened + edge.current).sum();
    let wide = 1 + busy.checked_ilog10().unwrap_or(0).min(4);
    let sick = ports.iter().any(|edge| !edge.health.problems.is_empty());
    let (colour, wide) = if sick { (SICK.0, wide.max(SICK.1)) } else { ("#94a3b8", wide) };
    let udp = ports.iter().all(|edge| edge.protocol == "udp");
    let udp = if udp { " stroke-dasharray=\"5 3\"" } else { "" };
    let titles: Vec<String> = ports
        .iter()
        .map(|edge| {
            let Edge { from, to, current, opened, .. } = edge;
            format!("{from} → {to} port {}: {current} open, {opened} opened", label(edge))
        })
        .collect();
    let labels: Vec<String> = ports.iter().map(|edge| label(edge)).collect();
    // To the right, from side to side; back or within a column, below.
    let right = to.x > from.x;
    let (x1, y1) = if right {
        (from.x + from.w, from.y + from.h / 2)
    } else {
        (from.x + from.w / 2, from.y + from.h)
    };
    let (x2, y2) = if right { (to.x, to.y + to.h / 2) } else { (to.x + to.w / 2, to.y + to.h) };
    let (mx, my) = (i64::midpoint(x1, x2), i64::midpoint(y1, y2));
    let path = if right {
        format!("M{x1} {y1}C{mx} {y1} {mx} {y2} {x2} {y2}")
    } else {
        let deep = y1.max(y2) + 40;
        format!("M{x1} {y1}C{x1} {deep} {x2} {deep} {x2} {y2}")
    };
    let my = if right { my } else { y1.max(y2) + 28 };
    put(
        out,
        format_args!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{wide}\"{udp} marker-end=\"url(#a)\"><title>{}</title></path>\
         <text x=\"{mx}\" y=\"{}\" text-anchor=\"middle\" fill=\"#334155\" font-size=\"10\">{}</text>\n",
            escaped(&titles.join("\n")),
            my - 4,
            escaped(&labels.join(", "))
        ),
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str, port: u16) -> Edge {
        Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            port,
            protocol: "tcp".to_owned(),
            opened: 12,
            ..Edge::default()
        }
    }

    #[test]
    fn a_map_is_a_graph_for_graphviz_with_a_box_for_each_namespace() {
        let text = dot(&[edge("shop/Deployment/api", "shop/StatefulSet/db", 5432)]);

        assert!(text.contains("subgraph \"cluster_shop\""), "{text}");
        assert!(
            text.contains("\"shop/Deployment/api\" -> \"shop/StatefulSet/db\" [label=\"5432\"]")
        );
    }

    #[test]
    fn a_sick_edge_is_red_and_heavy_in_every_picture_and_no_other_is() {
        let mut sick = edge("s/D/a", "s/D/b", 80);
        sick.health.problems.insert("lossy".to_owned());
        let edges = [edge("s/D/a", "s/D/c", 81), sick];
        let (colour, _) = SICK;

        let dot = dot(&edges);
        assert!(dot.contains("[label=\"80 lossy\", color=\"#dc2626\""), "{dot}");
        assert!(dot.contains("[label=\"81\"];"), "{dot}");
        let mermaid = mermaid(&edges);
        assert!(mermaid.contains("linkStyle 1 stroke:#dc2626"), "{mermaid}");
        assert_eq!(mermaid.matches("linkStyle").count(), 1);
        let svg = svg(&edges);
        assert_eq!(svg.matches(&format!("stroke=\"{colour}\" stroke-width=\"3\"")).count(), 1);
        assert!(svg.contains("port 80 lossy: "), "{svg}");
    }

    #[test]
    fn strange_names_break_no_language() {
        let odd = [edge("process a\"<b>&\\", "external ::1", 1)];

        assert!(dot(&odd).contains("\"process a\\\"<b>&\\\\\""), "{}", dot(&odd));
        assert!(mermaid(&odd).contains("process a#quot; b #amp;"), "{}", mermaid(&odd));
        assert!(svg(&odd).contains("process a&quot;&lt;b&gt;&amp;\\"), "{}", svg(&odd));
    }

    #[test]
    fn a_circle_has_a_picture_too() {
        let edges =
            [edge("s/D/a", "s/D/b", 1), edge("s/D/b", "s/D/a", 2), edge("s/D/a", "s/D/a", 3)];

        assert_eq!(svg(&edges).matches("<path d=\"M").count(), 3 + 1, "three edges and the arrow");
    }
}
