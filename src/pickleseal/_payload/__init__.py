"""Objects <-> pickles: writing with a manifest, checking without running, reading what is allowed and nothing else."""
