-- +goose Up
CREATE TABLE auth_users (
	id       TEXT    NOT NULL PRIMARY KEY,
	login    TEXT    NOT NULL,
	name     TEXT    NOT NULL,
	roles    TEXT    NOT NULL,
	password TEXT    NOT NULL,
	created  BIGINT  NOT NULL,
	ends     BIGINT,
	revision BIGINT  NOT NULL,
	salt     BYTEA   NOT NULL
);
CREATE UNIQUE INDEX auth_users_login ON auth_users (login);

CREATE TABLE auth_links (
	hash    BYTEA  NOT NULL PRIMARY KEY,
	usr     TEXT   NOT NULL REFERENCES auth_users (id),
	purpose TEXT   NOT NULL,
	expires BIGINT NOT NULL
);

CREATE TABLE auth_sessions (
	hash    BYTEA  NOT NULL PRIMARY KEY,
	usr     TEXT   NOT NULL REFERENCES auth_users (id),
	created BIGINT NOT NULL,
	seen    BIGINT NOT NULL
);
CREATE INDEX auth_sessions_user ON auth_sessions (usr);
