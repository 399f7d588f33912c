//! Frames at the sizes that people have.

use super::*;
use crate::top::sample;
use crate::top::state::Key;
use probelet_core::budget::Level;
use probelet_core::display::{ContainerName, ContainerNames};
use probelet_core::facts::Loss;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::sync::Arc;
use tokio::sync::watch;

/// Looks at a node for ten seconds, so that there are rates.
fn view() -> View {
    let first = sample::at(3590, 40);
    let name = ContainerName { name: "web-frontend".to_owned(), ..ContainerName::default() };
    let names = ContainerNames([(first.picture.names[1].id.clone(), name)].into());
    let mut view = View::new(Arc::new(first), watch::channel(Arc::new(names)).1);
    for second in 3591..=3600 {
        view.observe(Arc::new(sample::at(second, 40)));
    }
    view
}

fn view_of(change: impl FnOnce(&mut crate::snapshot::Snapshot)) -> View {
    let mut snapshot = sample::snapshot();
    change(&mut snapshot);
    View::new(Arc::new(snapshot), watch::channel(Arc::default()).1)
}

fn state(keys: &str) -> State {
    let mut state = State::new(None, None).unwrap();
    state.fit(Fitted { height: 10, rows: 1000, width: 200 });
    for c in keys.chars() {
        state.press(Key::Char(c));
    }
    state
}

fn lines(state: &State, view: &View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            draw(state, view, frame.buffer_mut());
        })
        .unwrap();
    let buffer = terminal.backend().buffer();
    let line =
        |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

fn line_with<'l>(lines: &'l [String], text: &str) -> &'l str {
    lines
        .iter()
        .find(|l| l.contains(text))
        .unwrap_or_else(|| panic!("no line with {text:?} in {lines:#?}"))
}

#[test]
fn the_cost_stands_against_the_budget() {
    for (width, height) in [(80, 24), (200, 50)] {
        let lines = lines(&state(""), &view(), width, height);

        assert!(lines[1].contains("0.07 % of a core of 0.50 %"), "{}", lines[1]);
        assert!(lines[1].contains("memory 11.2 MiB"), "{}", lines[1]);
        assert!(lines[0].contains("source netlink"), "{}", lines[0]);
        assert!(line_with(&lines, "coverage").contains("99.7 % of 1,208 opened"));
    }
}

#[test]
fn a_stretched_interval_shows_both_what_was_asked_for_and_what_is() {
    let lines = lines(&state(""), &view(), 80, 24);

    assert!(line_with(&lines, "Every").contains("sockets 1s  processes 2s→4.1s"));
}

#[test]
fn only_what_was_lost_lately_is_shown() {
    let lines = lines(&state(""), &view(), 80, 24);

    assert!(line_with(&lines, "Lost").contains("vanished 2"));
    assert!(!lines.iter().any(|l| l.contains("torn")));
}

#[test]
fn of_what_nothing_met_the_present_number_is_shown() {
    let view = view_of(|s| {
        s.picture.unseen = Some(3);
        s.picture.losses.add(Loss::Unseen, 18);
    });

    let lost = line_with(&lines(&state(""), &view, 80, 24), "Lost").to_owned();

    assert!(lost.trim_end().ends_with("in a minute  unseen 3"), "{lost}");
}

#[test]
fn a_reason_and_a_refused_configuration_have_lines_of_their_own() {
    let view = view_of(|s| {
        s.vitals.level = Level::Stretched;
        s.vitals.level_reason = "needs 9m for 1 s freshness at 41,200 sockets".into();
        s.vitals.config_error = Some("spec.budget.cpu: 0m is below 1m".into());
    });

    let lines = lines(&state(""), &view, 80, 24);

    assert!(lines[0].contains("Stretched"));
    line_with(&lines, "needs 9m");
    line_with(&lines, "spec.budget.cpu: 0m is below 1m");
}

#[test]
fn before_the_first_pass_there_is_a_word_of_patience() {
    let view = View::new(Arc::new(sample::empty()), watch::channel(Arc::default()).1);

    line_with(&lines(&state(""), &view, 80, 24), "waiting for the first pass");
}

#[test]
fn flows_come_busiest_first_and_name_both_ends() {
    let lines = lines(&state(""), &view(), 80, 24);
    let heading = lines.iter().position(|l| l.contains("SOURCE")).unwrap();

    assert!(lines[heading].contains("NOW▾"), "{}", lines[heading]);
    assert!(lines[heading + 1].contains(" 49 "), "{}", lines[heading + 1]);
    line_with(&lines, "web-frontend");
    line_with(&lines, "→ 10.244.");
}

#[test]
fn rates_are_per_second_between_snapshots() {
    let lines = lines(&state("/5012"), &view(), 200, 50);

    // Flow 12 opens two connections and receives 12 × 90,000 bytes a second.
    let flow = line_with(&lines, " 5012 ");
    assert!(flow.contains(" 2.0 "), "{flow}");
    assert!(flow.contains("1.0 MiB"), "{flow}");
}

#[test]
fn processes_come_by_cpu_and_an_unknown_fd_count_is_a_dash() {
    let lines = lines(&state("3"), &view(), 200, 50);
    let heading = lines.iter().position(|l| l.contains("COMM")).unwrap();
    let cpu = |line: &str| -> f64 {
        line.split_whitespace().find_map(|w| w.contains('.').then(|| w.parse().ok())?).unwrap()
    };

    assert!(lines[heading].contains("CPU %▾"));
    assert!(cpu(&lines[heading + 1]) >= cpu(&lines[heading + 2]));
    assert!(line_with(&lines, "1003 ").contains('–'));
}

#[test]
fn a_filter_looks_at_all_that_a_row_shows() {
    let all = lines(&state("2"), &view(), 200, 50);
    let some = lines(&state("2/TIME-WAIT"), &view(), 200, 50);

    line_with(&all, "established");
    line_with(&some, "time-wait");
    assert!(!some.iter().any(|l| l.contains("established")));
    line_with(&some, "filter: TIME-WAIT");
}

#[test]
fn a_filter_without_a_match_says_so() {
    line_with(&lines(&state("/no such thing"), &view(), 80, 24), "nothing matches the filter");
}

#[test]
fn details_stand_beside_a_wide_table_and_instead_of_a_narrow_one() {
    let wide = lines(&state("c"), &view(), 200, 50);
    let narrow = lines(&state("c"), &view(), 80, 24);

    line_with(&wide, "SOURCE");
    line_with(&wide, "CPU by task");
    line_with(&narrow, "CAP_BPF and CAP_PERFMON are missing");
    assert!(!narrow.iter().any(|l| l.contains("SOURCE")));
}

#[test]
fn the_help_names_the_keys() {
    line_with(&lines(&state("?"), &view(), 80, 24), "reverse the order");
}

#[test]
fn every_screen_draws_at_every_size() {
    let view = view();
    for keys in ["1", "2", "3", "4", "5", "c", "?", "/x", "p"] {
        for (width, height) in [(20, 5), (1, 1), (3, 2), (80, 24), (200, 50), (20, 50), (200, 5)] {
            lines(&state(keys), &view, width, height);
        }
    }
}

#[test]
fn on_twenty_by_five_the_cost_stays_and_there_is_a_row() {
    let lines = lines(&state(""), &view(), 20, 5);

    assert!(lines[0].contains("CPU 0.07 %"), "{lines:#?}");
    assert!(lines[2].contains("49"), "{lines:#?}");
}

#[test]
fn the_second_page_goes_on_where_the_first_ended() {
    let mut paged = state("3s");
    let first = lines(&paged, &view(), 80, 24);
    let heading = first.iter().position(|l| l.contains("COMM")).unwrap();
    paged.fit(Fitted { height: 5, rows: 40, width: 80 });
    paged.press(Key::PageDown);
    let second = lines(&paged, &view(), 80, 24);

    assert_eq!(first[heading + 6], second[heading + 1]);
}

#[test]
fn a_bar_shows_something_for_the_smallest_share_and_never_overflows() {
    assert_eq!(bar(0.0, 10), "");
    assert_eq!(bar(0.000_1, 10), "▏");
    assert_eq!(bar(0.5, 10), "█████");
    assert_eq!(bar(7.0, 10).chars().count(), 10);
}
