"""The validating reader at ingestion points, and where it keeps what it refused."""
