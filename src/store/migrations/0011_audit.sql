-- What operators have changed in keys and projects. Rows are added in the transaction of the change,
-- and never changed. Times are in milliseconds since 1970.
create table admin_change (
    -- The number of the change, as its rows bear it.
    number bigint not null primary key,
    at bigint not null,
    -- The name of the admin key, or `command line`.
    operator text not null,
    -- Where the operator was, as far as that is known.
    address text not null,
    -- `keys.change`, and of what: `key/ci`.
    action text not null,
    object text not null,
    -- JSON without secrets and hashes; null before there was anything.
    before text,
    after text not null
);
create index admin_change_by_object on admin_change (object, number);
