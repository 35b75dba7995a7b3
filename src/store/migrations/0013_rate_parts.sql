-- Which parts of the limits of keys and projects gateways hold. A row here is only there to be locked.
create table rate_owner (
    owner text not null primary key
);

-- Amounts are requests, tokens, and requests that run; times are in milliseconds since 1970.
create table rate_part (
    owner text not null,
    gateway text not null,
    -- Counts what the gateway has said.
    number bigint not null,
    said_at bigint not null,
    -- Until when others are asked to make room.
    short_until bigint not null,
    held_requests bigint not null,
    used_requests bigint not null,
    -- When the first of what is used is there again, and when all of it.
    free_requests bigint not null,
    clear_requests bigint not null,
    held_tokens bigint not null,
    used_tokens bigint not null,
    free_tokens bigint not null,
    clear_tokens bigint not null,
    held_running bigint not null,
    used_running bigint not null,
    primary key (owner, gateway)
);
create index rate_part_by_gateway on rate_part (gateway);
create index rate_part_short on rate_part (short_until) where short_until > 0;
