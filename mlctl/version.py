"""The version of mlctl, for the modules that `mlctl` itself imports on first use."""

__version__ = "0.2.0"
