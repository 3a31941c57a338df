"""What a payload may do: the allow-list, safe functions, trust levels, and the dry run."""
