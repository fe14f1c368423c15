"""Where the steps of a stage run: processes of this machine or workers on a Ray cluster."""
