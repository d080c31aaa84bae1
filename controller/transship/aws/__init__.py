"""AWS: who we are there, tokens for ECR registries, and repositories that have to exist before something is pushed.

The bytes of images never pass here: they travel by the distribution API (`transship.registry`), to which this package
gives an Authorization header. boto3 and botocore are used here and nowhere else, and none of their exceptions leaves.
What AWS does is in ecr.md §1 (repositories), §4 (errors), §5 (identity) and §6 (host names).
"""
