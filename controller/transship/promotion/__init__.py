"""What promoting is: which images, under which policy, decided how, reported how.

Here belongs everything that would stay true if Kubernetes, ECR and HTTP were replaced: workloads as sets of images,
policies as routes, the edge table, the conditions a request ends in, and the promoter that takes one request from
wanted to proven. What the outside has to provide is in `ports`. Nothing here does I/O of its own, logs, or imports a
third-party package.
"""
