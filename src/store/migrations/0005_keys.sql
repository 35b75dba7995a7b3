-- Times are in milliseconds since 1970. Each change of keys and projects has a number, and its rows
-- bear the last one that they had, so that whoever knows one number finds all that came after it.
create table access_change (
    id bigint not null primary key,
    number bigint not null
);
insert into access_change (id, number) values (0, 0);

create table access_project (
    name text not null primary key,
    -- JSON with the fields that a project has in a settings file.
    definition text not null,
    created_at bigint not null,
    archived_at bigint,
    revision bigint not null
);
create index access_project_by_revision on access_project (revision);

create table access_key (
    name text not null primary key,
    -- SHA-256 of the secret, and of the one before it while that is still taken.
    hash bytea not null unique,
    previous_hash bytea,
    -- The last letters of the secret.
    hint text not null,
    -- JSON with the fields that a key has in a settings file.
    definition text not null,
    created_at bigint not null,
    revoked_at bigint,
    revision bigint not null
);
create index access_key_by_revision on access_key (revision);
create index access_key_by_previous_hash on access_key (previous_hash);

-- What a gateway says of itself, in JSON.
alter table gateway add column state text;
