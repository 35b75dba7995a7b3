-- A request that its caller has given a key, and the answer to it once there is one. A thread of the
-- same id says until when it is kept.
create table idempotent_request (
    id text not null primary key,
    owner text not null,
    -- What the request means, by a fingerprint.
    meaning text not null,
    -- Who works on it, and until when that is certain.
    holder text not null,
    held_until bigint not null,
    -- Whether it has come to its end.
    is_done bigint not null,
    status bigint,
    headers text,
    body bytea
);
