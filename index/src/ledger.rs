//! Which selectors select which label sets, known from both ends.
//!
//! In: a class (a distinct label set of a namespace) and a selector. Out: an edge in the list of
//! each, which knows its place in the other's list, so that either end can go at the cost of its
//! own edges only. It must not decide who matches whom.
//!
//! Pure: no I/O.

use super::classes::Class;
use super::edges::{Edge, place, push, spilled};
use super::selectors::Compiled;
use super::slab::Slab;

/// How many edges there are, and the memory of lists that did not fit into their record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ledger {
    pub(super) edges: usize,
    pub(super) heap: usize,
}

impl Ledger {
    pub(super) fn link(
        &mut self,
        classes: &mut Slab<Class>,
        selectors: &mut Slab<Compiled>,
        class: u32,
        selector: u32,
    ) {
        let (near, far) = (&mut classes[class].selectors, &mut selectors[selector].classes);
        let (here, there) = (place(near.len()), place(far.len()));
        push(near, Edge { to: selector, back: there }, &mut self.heap);
        push(far, Edge { to: class, back: here }, &mut self.heap);
        self.edges += 1;
    }

    /// Cuts the edge at place `at` of a class.
    pub(super) fn unlink(
        &mut self,
        classes: &mut Slab<Class>,
        selectors: &mut Slab<Compiled>,
        class: u32,
        at: usize,
    ) {
        let near = &mut classes[class].selectors;
        let cut = near.swap_remove(at);
        if let Some(moved) = near.get(at) {
            selectors[moved.to].classes[moved.back as usize].back = place(at);
        }
        let far = &mut selectors[cut.to].classes;
        far.swap_remove(cut.back as usize);
        if let Some(moved) = far.get(cut.back as usize) {
            classes[moved.to].selectors[moved.back as usize].back = cut.back;
        }
        self.edges -= 1;
    }

    /// Cuts every edge of a class and frees its list.
    pub(super) fn isolate_class(
        &mut self,
        classes: &mut Slab<Class>,
        selectors: &mut Slab<Compiled>,
        class: u32,
    ) {
        while let Some(last) = classes[class].selectors.len().checked_sub(1) {
            self.unlink(classes, selectors, class, last);
        }
        let list = std::mem::take(&mut classes[class].selectors);
        self.heap -= spilled(&list);
    }

    /// Cuts every edge of a selector and frees its list.
    pub(super) fn isolate_selector(
        &mut self,
        classes: &mut Slab<Class>,
        selectors: &mut Slab<Compiled>,
        selector: u32,
    ) {
        while let Some(edge) = selectors[selector].classes.last().copied() {
            self.unlink(classes, selectors, edge.to, edge.back as usize);
        }
        let list = std::mem::take(&mut selectors[selector].classes);
        self.heap -= spilled(&list);
    }
}
