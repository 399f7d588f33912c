//! The operator: one per cluster, turns ProbeConfigs into one effective configuration per node.
