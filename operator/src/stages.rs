//! The five stages of the operator, in their order; `reconcile` drives them.
//!
//! ```text
//! observe ──▶ validate ──▶ (world: who wins where) ──▶ plan ──▶ apply ──▶ status
//! objects     Valid or     rollout: who has            Step    one       what a
//! of the API  Rejected     its turn                            write     person reads
//! ```
//!
//! In: objects of the API server. Out: writes. All but `apply` are pure, and only `reconcile` calls more than one of them.

pub mod apply;
pub mod observe;
pub mod plan;
pub mod status;
pub mod validate;
