-- +goose Up
CREATE TABLE audit_keys (
	ref     TEXT   NOT NULL PRIMARY KEY,
	wrapped BYTEA  NOT NULL,
	created BIGINT NOT NULL
);
