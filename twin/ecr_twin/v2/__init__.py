"""The v2 face: the OCI distribution API of every registry, translated into actions of the ECR API."""
