"""Archives and compressed files, read within size limits."""
