-- The one live deadline of each stream that waits. It follows from the stream's state and moves in the transaction of
-- the events that change it; that it fires is an event of the stream.

create table deadline (
    stream         text        collate "C" not null constraint deadline_stream primary key,
    category       text        not null,
    id             uuid        not null,
    due_at         timestamptz not null,
    correlation_id uuid        not null,
    -- When to try next: `due_at` at first, later the end of a claim, so that one that fails starves nobody.
    next_at        timestamptz not null,
    attempts       integer     not null default 0
);
create index deadline_next on deadline (category, next_at);

grant select, insert, update, delete on deadline to lunaria_app;
