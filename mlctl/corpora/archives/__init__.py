"""Archives and compressed files, read within limits."""
