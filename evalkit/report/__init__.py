"""Results for people. Reads manifests; computes nothing."""
