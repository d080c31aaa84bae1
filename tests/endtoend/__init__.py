"""The whole operator as a process, against a real API server and the registries of two AWS accounts."""
