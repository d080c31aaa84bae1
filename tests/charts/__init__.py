"""The chart: the same as the manifests, for both Helms, from the first value to what uninstalling leaves."""
