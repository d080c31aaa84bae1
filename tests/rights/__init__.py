"""What operator and webhook may do, and what becomes of namespaces that are not theirs."""
