"""Filter rules that look at one pair at a time, one file a family; `base` has their protocol."""
