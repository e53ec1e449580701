-- How far each handler has come. These rows live in the database in which the handler's effect is written and move
-- in the same transaction as the effect: that, and the compare-and-set on `cursor`, is what makes an effect happen once.

-- A handler that is registered with `behind = true` reads the history (it is new, or its queue overflowed) before,
-- or while, it is fed.
create table handler (
    name          text        not null,
    source        text        not null,
    -- The transport and the categories: a handler that is fed differently than before has missed something.
    fed_by        text        not null,
    behind        boolean     not null,
    behind_reason text,
    changed_at    timestamptz not null default now(),
    constraint handler_identity primary key (name, source)
);

create table cursor (
    handler text   not null,
    source  text   not null,
    stream  text   collate "C" not null,
    seq     bigint not null constraint cursor_seq_positive check (seq > 0),
    constraint cursor_identity primary key (handler, source, stream)
) with (fillfactor = 80);

-- An event that its handler could not handle, and at which its stream waits. `retry_at` is null once the retries are
-- exhausted: then a person decides. `waiting_seq` is the last event known to wait behind it.
create table parked (
    handler         text        not null,
    source          text        not null,
    stream          text        collate "C" not null,
    seq             bigint      not null,
    event_id        uuid        not null,
    reason          text        not null,
    attempts        integer     not null,
    retry_at        timestamptz,
    waiting_seq     bigint      not null,
    first_failed_at timestamptz not null default now(),
    last_failed_at  timestamptz not null default now(),
    constraint parked_identity primary key (handler, source, stream)
);
create index parked_retry on parked (handler, retry_at) where retry_at is not null;

grant select, insert, update, delete on handler, cursor, parked to lunaria_app;
