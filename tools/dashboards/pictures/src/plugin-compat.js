// Grafana's libraries import this package for plugins that were made for older releases; there are none here.
export const compat = {};
export default compat;
