//! What is known of the Kubernetes cluster around this node: pods, Services, endpoints, namespaces.
//!
//! In: changes of objects, from whoever watches them. Out: who is behind a container or an address.
//! It must not ask the API server anything, and a change that comes late, twice or out of order must
//! not give a wrong name.
//!
//! Pure: no I/O, no clock; time is an argument.

pub mod cidr;
pub mod objects;
