"""The twin's memory of everything but bytes: one SQLite file.

Only the server's event loop uses the connection, and no statement waits for I/O worth mentioning, so a block of
statements without an ``await`` between them is atomic. Which manifests, layers and tags exist is decided here; the
distribution process behind the twin only holds the bytes and checks digests.
"""

import sqlite3
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS repositories (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,
  created_at REAL NOT NULL,
  mutability TEXT NOT NULL, exclusion_filters TEXT NOT NULL,
  scan_on_push INTEGER NOT NULL, encryption TEXT NOT NULL, tags TEXT NOT NULL,
  policy TEXT, former_policy TEXT, policy_set_at REAL NOT NULL DEFAULT 0, lifecycle_policy TEXT,
  UNIQUE (account, region, name)
);
CREATE TABLE IF NOT EXISTS images (
  repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL, artifact_type TEXT, annotations TEXT NOT NULL,
  manifest_size INTEGER NOT NULL, image_size INTEGER NOT NULL,
  subject TEXT, pushed_at REAL NOT NULL, pulled_at REAL,
  archived_at REAL, activated_at REAL, active_at REAL,
  PRIMARY KEY (repository, digest)
);
CREATE TABLE IF NOT EXISTS tags (
  repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  tag TEXT NOT NULL, digest TEXT NOT NULL,
  PRIMARY KEY (repository, tag)
);
CREATE INDEX IF NOT EXISTS tags_by_digest ON tags (repository, digest);
CREATE TABLE IF NOT EXISTS uses (
  repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  parent TEXT NOT NULL, child TEXT NOT NULL,
  PRIMARY KEY (repository, parent, child)
);
CREATE INDEX IF NOT EXISTS uses_by_child ON uses (repository, child);
CREATE TABLE IF NOT EXISTS layers (
  repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  digest TEXT NOT NULL, size INTEGER NOT NULL, media_type TEXT NOT NULL,
  PRIMARY KEY (repository, digest)
);
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY,
  repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  location TEXT NOT NULL,
  received INTEGER NOT NULL DEFAULT 0, first_part INTEGER,
  small_part INTEGER NOT NULL DEFAULT 0, small_middle INTEGER NOT NULL DEFAULT 0,
  started_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS tokens (
  password_hash TEXT PRIMARY KEY, access_key_id TEXT NOT NULL, region TEXT NOT NULL, expires_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS sessions (
  access_key_id TEXT PRIMARY KEY, secret TEXT NOT NULL, session_token TEXT NOT NULL,
  role_arn TEXT NOT NULL, session_name TEXT NOT NULL, expires_at REAL NOT NULL,
  policy TEXT, tags TEXT NOT NULL, transitive_tags TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS templates (
  account TEXT NOT NULL, region TEXT NOT NULL, prefix TEXT NOT NULL,
  settings TEXT NOT NULL, created_at REAL NOT NULL, updated_at REAL NOT NULL,
  PRIMARY KEY (account, region, prefix)
);
CREATE TABLE IF NOT EXISTS signings (
  repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  digest TEXT NOT NULL, profile_arn TEXT NOT NULL,
  due_at REAL NOT NULL, failure TEXT, done INTEGER NOT NULL,
  PRIMARY KEY (repository, digest, profile_arn)
);
CREATE TABLE IF NOT EXISTS cleanings (
  repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
  subject TEXT NOT NULL, due_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS settings (
  account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (account, region, name)
);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, creating the tables on first use."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;" + _SCHEMA)
    return connection
