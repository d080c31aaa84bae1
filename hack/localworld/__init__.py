"""The local world: a real Kubernetes API server and the ECR twin, as processes of this machine.

Belongs here: how the pinned tools are built, how their processes are started, reached and stopped, and the sample
images and accounts that tests, `make dev` and `make demo` share. Nothing here knows what the controller does.

Nothing is written outside the per-user cache (`paths.cache`) and temporary directories, everything listens on
loopback, and whatever was started ends with the process that started it.
"""
