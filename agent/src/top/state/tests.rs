//! Keys without a terminal.

use super::*;

fn state() -> State {
    let mut state = State::new(None, None).unwrap();
    state.fit(Fitted { height: 10, rows: 35, width: 80 });
    state
}

fn press(state: &mut State, keys: &str) {
    for c in keys.chars() {
        state.press(Key::Char(c));
    }
}

#[test]
fn tab_goes_round_the_screens_and_numbers_go_straight_to_one() {
    let mut state = state();

    state.press(Key::BackTab);
    assert_eq!(state.screen(), Screen::Listeners);
    state.press(Key::Tab);
    assert_eq!(state.screen(), Screen::Flows);
    press(&mut state, "3");
    assert_eq!(state.screen(), Screen::Processes);
}

#[test]
fn scrolling_stops_at_both_ends() {
    let mut state = state();

    state.press(Key::Up);
    assert_eq!(state.place().offset, 0);
    state.press(Key::PageDown);
    press(&mut state, "j");
    assert_eq!(state.place().offset, 11);
    state.press(Key::End);
    assert_eq!(state.place().offset, 25);
    state.press(Key::PageDown);
    assert_eq!(state.place().offset, 25);
    state.press(Key::Home);
    assert_eq!(state.place().offset, 0);
}

#[test]
fn a_place_beyond_the_end_moves_back_when_rows_go() {
    let mut state = state();
    state.press(Key::End);

    assert!(state.fit(Fitted { height: 10, rows: 12, width: 80 }));
    assert_eq!(state.place().offset, 2);
}

#[test]
fn s_takes_the_next_column_that_is_shown_in_its_natural_order() {
    let mut state = state();
    assert_eq!(Screen::Flows.headings()[state.place().sort].name, "now");

    press(&mut state, "ss");

    // `opened` and `closed` need 100 columns and are passed over.
    assert_eq!(Screen::Flows.headings()[state.place().sort].name, "sent");
    assert!(state.place().descending);
    press(&mut state, "ss");
    assert_eq!(Screen::Flows.headings()[state.place().sort].name, "source");
    assert!(!state.place().descending);
}

#[test]
fn r_reverses_and_goes_back_to_the_top() {
    let mut state = state();
    state.press(Key::End);

    press(&mut state, "r");

    assert!(!state.place().descending);
    assert_eq!(state.place().offset, 0);
}

#[test]
fn letters_typed_into_a_filter_are_not_commands() {
    let mut state = state();

    press(&mut state, "/qs2");

    assert_eq!(state.filter(), "qs2");
    assert_eq!(state.screen(), Screen::Flows);
    state.press(Key::Backspace);
    state.press(Key::Enter);
    assert!(!state.editing());
    assert_eq!(state.filter(), "qs");
}

#[test]
fn escape_clears_a_filter_before_it_quits() {
    let mut state = state();
    press(&mut state, "/abc");

    assert_eq!(state.press(Key::Escape), Effect::Redraw);
    assert_eq!(state.filter(), "");
    assert_eq!(state.press(Key::Escape), Effect::Quit);
}

#[test]
fn control_c_quits_from_everywhere() {
    for keys in ["", "/abc", "?", "c"] {
        let mut state = state();
        press(&mut state, keys);

        assert_eq!(state.press(Key::Interrupt), Effect::Quit);
    }
}

#[test]
fn any_key_closes_the_help_and_does_nothing_else() {
    let mut state = state();
    press(&mut state, "?");
    assert!(state.help());

    assert_eq!(state.press(Key::Char('q')), Effect::Redraw);
    assert!(!state.help());
}

#[test]
fn a_sort_column_opens_the_screen_that_has_it() {
    assert_eq!(State::new(Some("fds"), None).unwrap().screen(), Screen::Processes);
    assert!(State::new(Some("nonsense"), None).is_none());
    assert!(sort_names().contains(&"fds"));
}

#[test]
fn a_filter_cannot_grow_without_end() {
    let mut state = state();
    press(&mut state, "/");

    press(&mut state, &"x".repeat(1000));

    assert_eq!(state.filter().len(), FILTER_MAX);
}

#[test]
fn every_screen_has_the_column_that_it_is_sorted_by() {
    for screen in Screen::ALL {
        assert!(place(screen, screen.default_sort()).is_some(), "{screen:?}");
    }
}
