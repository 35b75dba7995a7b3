-- Chat completions that are kept; a thread of the same id says until when. What was asked lies with
-- the items, under the completion's id.
create table chat_completion (
    id text not null primary key,
    owner text not null,
    created_at bigint not null,
    model text not null,
    metadata text not null,
    -- Its JSON, without the metadata and the brace behind it.
    body text not null
);
create index chat_completion_by_age on chat_completion (owner, created_at, id);
