-- +goose Up
CREATE TABLE leases (
	name   TEXT   NOT NULL PRIMARY KEY,
	holder TEXT   NOT NULL,
	until  BIGINT NOT NULL
);

CREATE TABLE audit_head (
	log    BIGINT NOT NULL PRIMARY KEY,
	origin TEXT   NOT NULL,
	size   BIGINT NOT NULL,
	epoch  BIGINT NOT NULL,
	root   BYTEA  NOT NULL,
	peaks  BYTEA  NOT NULL
);

CREATE TABLE audit_entries (
	log       BIGINT NOT NULL,
	n         BIGINT NOT NULL,
	opening   BIGINT,
	leaf_hash BYTEA  NOT NULL,
	leaf      BYTEA,
	key       TEXT   NOT NULL,
	salt      BYTEA,
	sealed    BYTEA,
	PRIMARY KEY (log, n)
);
CREATE UNIQUE INDEX audit_entries_opening ON audit_entries (log, opening) WHERE opening IS NOT NULL;

CREATE TABLE audit_tiles (
	log    BIGINT NOT NULL,
	level  BIGINT NOT NULL,
	n      BIGINT NOT NULL,
	hashes BYTEA  NOT NULL,
	PRIMARY KEY (log, level, n)
);

CREATE TABLE audit_checkpoints (
	log  BIGINT NOT NULL,
	size BIGINT NOT NULL,
	note TEXT   NOT NULL,
	PRIMARY KEY (log, size)
);

CREATE TABLE audit_cursors (
	follower TEXT   NOT NULL,
	log      BIGINT NOT NULL,
	n        BIGINT NOT NULL,
	PRIMARY KEY (follower, log)
);

CREATE TABLE audit_instances (
	instance TEXT   NOT NULL PRIMARY KEY,
	beat     BIGINT NOT NULL
);

CREATE TABLE audit_index (
	log        BIGINT NOT NULL,
	n          BIGINT NOT NULL,
	time       BIGINT NOT NULL,
	type       TEXT   NOT NULL,
	kind       TEXT   NOT NULL,
	system     TEXT   NOT NULL,
	model      TEXT   NOT NULL,
	verdict    TEXT   NOT NULL,
	findings   TEXT   NOT NULL,
	closing    BIGINT,
	code       TEXT   NOT NULL,
	duration   BIGINT NOT NULL,
	tokens_in  BIGINT NOT NULL,
	tokens_out BIGINT NOT NULL,
	PRIMARY KEY (log, n)
);
CREATE INDEX audit_index_time ON audit_index (log, time);
CREATE INDEX audit_index_system ON audit_index (log, system, n);
CREATE INDEX audit_index_verdict ON audit_index (log, verdict, n);
CREATE INDEX audit_index_system_verdict ON audit_index (log, system, verdict, n);

CREATE INDEX audit_index_open ON audit_index (log, n) WHERE closing IS NULL AND type = 'call.open';

CREATE TABLE audit_index_findings (
	log     BIGINT NOT NULL,
	finding TEXT   NOT NULL,
	n       BIGINT NOT NULL,
	system  TEXT   NOT NULL,
	verdict TEXT   NOT NULL,
	PRIMARY KEY (log, finding, n)
);
CREATE INDEX audit_index_findings_system ON audit_index_findings (log, finding, system, n);
CREATE INDEX audit_index_findings_verdict ON audit_index_findings (log, finding, verdict, n);
CREATE INDEX audit_index_findings_system_verdict ON audit_index_findings (log, finding, system, verdict, n);
