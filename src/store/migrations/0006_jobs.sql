-- A response that is being made in the background. Times are in milliseconds since 1970.
create table job (
    response text not null primary key,
    owner text not null,
    thread text not null,
    created_at bigint not null,
    -- When it has failed if it is not done.
    deadline bigint not null,
    -- The gateway that works on it, and until when nobody else may.
    lease_by text not null,
    lease_until bigint not null,
    -- Whether only its owner's own fal key can go on with it, which is kept nowhere.
    needs_key bigint not null,
    -- What it takes up besides its response.
    bytes bigint not null,
    -- What is needed to go on with it elsewhere, as JSON; and the body of the request.
    terms text not null,
    body text not null
);
create index job_by_lease on job (lease_until);
create index job_by_owner on job (owner);
create index job_by_thread on job (thread);

-- A call of a job to fal's queue. It is written before the call is made: while there is no
-- request_id, nobody knows whether fal has it.
create table submission (
    response text not null,
    position bigint not null,
    choice bigint not null,
    app text not null,
    path text not null,
    model text not null,
    request_id text,
    -- Whether it was never sent, or fal has refused it.
    refused bigint not null,
    primary key (response, position)
);
