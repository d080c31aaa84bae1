"""The OCI distribution API over HTTP: repositories of registries as `transship.oci.store` wants them.

Theory of operation. A `Transport` is the process's connections; it follows nothing, retries nothing and decodes
nothing. An `Exchange` is one repository seen with one identity: it adds the Authorization header, renews it once when
it is refused, waits for its turn (`pace`), sends again what passes (`patience`), follows redirects by hand and turns
every failure into the error tree (`failures`). On top of it stand `Manifests` and `Blobs`, and `HttpRepository` joins
them into a `Source` and `Destination`.

Nothing here knows of AWS: what is special about ECR's HTTP API is a rule that any registry may follow (ecr.md §2), and
credentials come in through the port `auth.Credentials`. For registries that are not ECR `bearer.TokenCredentials` fills
it: it answers challenges with tokens, asked for at permitted `realms` only, as whoever `docker_config` says. urllib3 is
used here (for proxies, names and its errors) and nowhere else in this project's own code.
"""
