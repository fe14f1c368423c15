"""The `mlctl` command, one module for each group of commands."""
