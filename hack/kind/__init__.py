"""A kind cluster with everything in it: Argo CD, the ECR twin, the operator by its chart, the sample application.

`python -m kind up` is `make kind`, `python -m kind down` is `make kind-down`, and `--dry-run` prints the commands.
What is applied are the files beside this one; README.md says which is which.
"""
