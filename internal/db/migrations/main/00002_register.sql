-- +goose Up
CREATE TABLE register_providers (
	id       TEXT    NOT NULL PRIMARY KEY,
	kind     TEXT    NOT NULL,
	base_url TEXT    NOT NULL,
	region   TEXT    NOT NULL,
	operator TEXT    NOT NULL,
	key_ref  TEXT    NOT NULL,
	revision BIGINT  NOT NULL,
	salt     BYTEA   NOT NULL
);

CREATE TABLE register_models (
	id       TEXT   NOT NULL PRIMARY KEY,
	provider TEXT   NOT NULL REFERENCES register_providers (id),
	upstream TEXT   NOT NULL,
	revision BIGINT NOT NULL,
	salt     BYTEA  NOT NULL
);

CREATE TABLE register_systems (
	id        TEXT    NOT NULL PRIMARY KEY,
	name      TEXT    NOT NULL,
	purpose   TEXT    NOT NULL,
	models    TEXT    NOT NULL,
	aliases   TEXT    NOT NULL,
	mask      TEXT    NOT NULL,
	regions   TEXT    NOT NULL,
	output    TEXT    NOT NULL,
	high_risk BOOLEAN NOT NULL,
	keep_days BIGINT  NOT NULL,
	revision  BIGINT  NOT NULL,
	salt      BYTEA   NOT NULL
);

CREATE TABLE register_access (
	id       TEXT   NOT NULL PRIMARY KEY,
	system   TEXT   NOT NULL REFERENCES register_systems (id),
	kind     TEXT   NOT NULL,
	owner    TEXT   NOT NULL,
	key_hash BYTEA  NOT NULL,
	key_ref  TEXT   NOT NULL,
	created  BIGINT NOT NULL,
	expires  BIGINT,
	revoked  BIGINT,
	revision BIGINT NOT NULL,
	salt     BYTEA  NOT NULL
);
CREATE UNIQUE INDEX register_access_key ON register_access (key_hash);

CREATE TABLE register_stops (
	scope    TEXT   NOT NULL PRIMARY KEY,
	reason   TEXT   NOT NULL,
	actor    TEXT   NOT NULL,
	since    BIGINT NOT NULL
);
