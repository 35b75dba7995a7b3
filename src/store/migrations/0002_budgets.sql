-- Amounts are in the smallest part of what the budget counts, times in milliseconds since 1970.
create table gateway (
    id text primary key,
    program text not null,
    seen_at bigint not null
);

create table budget_window (
    owner text not null,
    budget text not null,
    start_at bigint not null,
    end_at bigint,
    wanted bigint not null,
    bound bigint not null,
    used bigint not null,
    leased bigint not null,
    beyond bigint not null,
    short_until bigint not null,
    primary key (owner, budget, start_at),
    check (used >= 0 and leased >= 0 and beyond >= 0 and used + leased <= bound)
);

create table budget_lease (
    owner text not null,
    budget text not null,
    start_at bigint not null,
    gateway text not null,
    drawn bigint not null,
    spent bigint not null,
    returned bigint not null,
    charged bigint not null,
    expires_at bigint not null,
    primary key (owner, budget, start_at, gateway),
    check (drawn - spent - returned >= 0)
);

create index budget_lease_expiry on budget_lease (charged, expires_at);
