-- A response and all that grew out of it; they go together.
create table thread (
    id text not null primary key,
    owner text not null,
    expires_at bigint not null,
    bytes bigint not null
);
create index thread_by_expiry on thread (expires_at);
create index thread_by_owner on thread (owner, expires_at);

create table response (
    id text not null primary key,
    owner text not null,
    thread text not null,
    parent text,
    -- How many responses are before it.
    depth bigint not null,
    -- What the items of the thread take up, from its first response to this one.
    chain_bytes bigint not null,
    status text not null,
    created_at bigint not null,
    expires_at bigint not null,
    bytes bigint not null,
    -- Its JSON before and behind the items of its output.
    head text not null,
    tail text not null,
    deleted_at bigint
);
create index response_by_thread on response (thread);

-- What went into a response (direction 0) and what came out of it (1).
create table item (
    response text not null,
    direction bigint not null,
    position bigint not null,
    id text not null,
    owner text not null,
    body text not null,
    primary key (response, direction, position)
);
create index item_by_id on item (owner, id);

-- What each owner's rows take up.
create table space (
    owner text not null primary key,
    bytes bigint not null
);
