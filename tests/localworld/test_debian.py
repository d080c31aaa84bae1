"""What is taken from Debian's packages."""

from localworld import debian

LISTED = """\
NOTE: something apt says
'http://mirror.example/pool/r/redis/redis-server_7.0.15-1_amd64.deb' redis-server_5%3a7.0.15-1_amd64.deb 72000 SHA256:ab
'http://mirror.example/pool/r/redis/redis-tools_7.0.15-1_amd64.deb' redis-tools_5%3a7.0.15-1_amd64.deb 1228000\x20
"""


def test_the_size_of_a_package_is_known_with_and_without_a_digest() -> None:
    assert debian.megabytes(LISTED) == [0.072, 1.228]
