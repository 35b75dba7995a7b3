create table schema_version (
    number bigint not null primary key,
    name text not null,
    applied_at bigint not null,
    program text not null
);

-- What all gateways on this store share: secrets that were drawn once.
create table meta (
    name text not null primary key,
    value bytea not null
);
