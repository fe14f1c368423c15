"""Where text comes from: one module for each kind of source."""
